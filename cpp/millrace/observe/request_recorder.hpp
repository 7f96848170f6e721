// What a loop records about its requests: the sink that hands them to whoever was asked for.
#pragma once
#include <memory>
#include <vector>

#include "millrace/observe/access_log.hpp"
#include "millrace/observe/request_metrics.hpp"
#include "millrace/observe/slow_log.hpp"
#include "millrace/observe/stage_report.hpp"

namespace millrace::observe {

struct RecorderOptions {
  bool journey = true;  // where the time goes
  // Requests by method, status and route.
  bool metrics = false;
  std::size_t max_series = RequestMetrics::default_max_series;
  std::vector<LogOutput> logs;
  SlowLogOptions slow;

  // Whether requests have to be stamped.
  bool needs_moments() const { return journey || metrics || !logs.empty() || slow.lines; }
};

// One per loop.
class RequestRecorder final : public trace::Sink {
 public:
  explicit RequestRecorder(const RecorderOptions& options) : stages_(options.journey) {
    if (options.metrics) metrics_ = std::make_unique<RequestMetrics>(options.max_series);
    if (options.slow.lines) slow_ = std::make_unique<SlowLog>(options.slow);
    for (auto const& output : options.logs) logs_.push_back(std::make_unique<AccessLog>(output));
  }
  void connection_accepted(const trace::ConnectionAccepted& event) override {
    stages_.connection_accepted(event);
  }
  void request_done(const trace::RequestDone& event) override {
    stages_.request_done(event);
    if (metrics_) metrics_->record(event);
    if (slow_) slow_->record(event);
    for (auto const& log : logs_) log->record(event);
  }
  void request_refused(const trace::RequestDone& event) override {
    if (metrics_) metrics_->record(event);
    for (auto const& log : logs_) log->record(event);
  }
  StageReport& stages() { return stages_; }
  const RequestMetrics* metrics() const { return metrics_.get(); }  // null: not asked for

 private:
  StageReport stages_;
  std::unique_ptr<RequestMetrics> metrics_;
  std::unique_ptr<SlowLog> slow_;
  std::vector<std::unique_ptr<AccessLog>> logs_;
};

}  // namespace millrace::observe
