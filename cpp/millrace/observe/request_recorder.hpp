// What a loop records about its requests: the sink that hands them to whoever was asked for.
#pragma once
#include <memory>

#include "millrace/observe/request_metrics.hpp"
#include "millrace/observe/stage_report.hpp"

namespace millrace::observe {

struct RecorderOptions {
  bool journey = true;  // where the time goes
  // Requests by method, status and route.
  bool metrics = false;
  std::size_t max_series = RequestMetrics::default_max_series;

  // Whether requests have to be stamped.
  bool needs_moments() const { return journey || metrics; }
};

// One per loop.
class RequestRecorder final : public trace::Sink {
 public:
  explicit RequestRecorder(const RecorderOptions& options) : stages_(options.journey) {
    if (options.metrics) metrics_ = std::make_unique<RequestMetrics>(options.max_series);
  }
  void connection_accepted(const trace::ConnectionAccepted& event) override {
    stages_.connection_accepted(event);
  }
  void request_done(const trace::RequestDone& event) override {
    stages_.request_done(event);
    if (metrics_) metrics_->record(event);
  }
  StageReport& stages() { return stages_; }
  const RequestMetrics* metrics() const { return metrics_.get(); }  // null: not asked for

 private:
  StageReport stages_;
  std::unique_ptr<RequestMetrics> metrics_;
};

}  // namespace millrace::observe
