// How many requests of each kind, and how long they took: one set of counters per method, status
// and route.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "millrace/observe/metrics.hpp"
#include "millrace/trace/counters.hpp"
#include "millrace/trace/sink.hpp"

namespace millrace::observe {

// Methods that get a label of their own; every other one is "_OTHER", so that clients cannot invent
// series (OpenTelemetry, semantic conventions for HTTP metrics, http.request.method).
std::string_view method_label(base::ByteView method);

// One per loop, which alone writes to it.
class RequestMetrics {
 public:
  // Series of one loop. What would be one more is counted in a series that says so. OpenTelemetry's
  // default; methods and routes are bounded anyway, statuses are the handlers' choice.
  static constexpr std::size_t default_max_series = 2000;
  explicit RequestMetrics(std::size_t max_series = default_max_series);
  ~RequestMetrics();
  RequestMetrics(const RequestMetrics&) = delete;
  RequestMetrics& operator=(const RequestMetrics&) = delete;

  // Home loop. Of what the protocol refused too: its method may be unknown, and it has no route.
  void record(const trace::RequestDone& event);
  Family snapshot() const;  // any thread

 private:
  // OpenTelemetry's advice for http.server.request.duration, in nanoseconds.
  static constexpr std::array<base::Duration, 14> bounds{
      base::milliseconds(5),    base::milliseconds(10),    base::milliseconds(25),
      base::milliseconds(50),   base::milliseconds(75),    base::milliseconds(100),
      base::milliseconds(250),  base::milliseconds(500),   base::milliseconds(750),
      base::milliseconds(1000), base::milliseconds(2500),  base::milliseconds(5000),
      base::milliseconds(7500), base::milliseconds(10'000)};
  struct Key {
    std::string_view method;  // static text
    base::ByteView route;
    std::uint16_t status = 0;
    bool operator==(const Key& other) const {
      return method.data() == other.method.data() && route.data() == other.route.data() &&
             status == other.status;
    }
  };
  struct Series {
    Key key;
    std::array<trace::Counter, bounds.size() + 1> buckets;
    trace::Counter sum_ns;
    void record(base::Duration duration);
  };
  Series& find(const Key& key);
  static Sample sample_of(const Series& series, Labels labels);

  std::size_t const max_series_;
  std::size_t count_ = 0;
  // Open addressing, never more than half full; a series, once published, stays.
  std::vector<std::atomic<Series*>> slots_;
  Series overflow_;
};

}  // namespace millrace::observe
