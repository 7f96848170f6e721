#include "millrace/observe/server_metrics.hpp"

#include <array>

#include "millrace/trace/counter_rows.hpp"

namespace millrace::observe {
namespace {

using enum Family::Kind;

// From 1 us to 10 s: what a stage takes on an idle machine and on one that is drowning.
constexpr std::array stage_bounds{
    base::microseconds(1),     base::microseconds(5),     base::microseconds(10),
    base::microseconds(25),    base::microseconds(50),    base::microseconds(100),
    base::microseconds(250),   base::microseconds(500),   base::milliseconds(1),
    base::microseconds(2'500), base::milliseconds(5),     base::milliseconds(10),
    base::milliseconds(25),    base::milliseconds(50),    base::milliseconds(100),
    base::milliseconds(250),   base::milliseconds(500),   base::milliseconds(1'000),
    base::milliseconds(2'500), base::milliseconds(5'000), base::milliseconds(10'000)};

double seconds(double nanoseconds) { return nanoseconds / 1e9; }

// The one counter that also goes down.
bool is_gauge(const trace::CounterRow& row) { return row.name == "connections_open"; }

Family loop_family(const trace::CounterRow& row,
                   const std::vector<const trace::LoopCounters*>& loops) {
  std::string name = "millrace_" + std::string(row.name);
  bool const is_time = name.ends_with("_ns");
  if (is_time) name.replace(name.size() - 3, 3, "_seconds");
  if (!is_gauge(row)) name += "_total";
  Family family{name, std::string(row.meaning), is_gauge(row) ? gauge : counter};
  for (std::size_t i = 0; i < loops.size(); ++i) {
    auto const value = static_cast<double>((loops[i]->*row.counter).get());
    family.add({{"loop", std::to_string(i)}}, is_time ? seconds(value) : value);
  }
  return family;
}

void add(Metrics& metrics, std::string name, std::string help, Family::Kind kind, double value) {
  metrics.push_back(Family{"millrace_" + name, std::move(help), kind}.add({}, value));
}

void add_requests(Metrics& metrics, const RequestFigures& requests) {
  add(metrics, "requests_waiting", "Requests that wait until others are answered.", gauge,
      static_cast<double>(requests.waiting));
  add(metrics, "requests_at_once", "Requests that may be answered at the same time.", gauge,
      static_cast<double>(requests.at_once));
  add(metrics, "bodies_waiting", "Requests whose body waits unread for memory.", gauge,
      static_cast<double>(requests.bodies_waiting));
  add(metrics, "body_bytes_held", "Bytes that bodies of requests hold, and what decodes them.",
      gauge, static_cast<double>(requests.body_bytes_held));
}

void add_queue(Metrics& metrics, const QueueFigures& queue) {
  add(metrics, "queue_depth", "Requests that wait for a worker.", gauge,
      static_cast<double>(queue.depth));
  add(metrics, "queue_capacity", "Requests that may wait.", gauge,
      static_cast<double>(queue.capacity));
  add(metrics, "queue_workers", "Threads that take from the queue.", gauge,
      static_cast<double>(queue.workers));
  add(metrics, "queue_dispatched_total", "Requests handed to workers.", counter,
      static_cast<double>(queue.dispatched));
  add(metrics, "queue_refused_total", "Requests that found the queue full.", counter,
      static_cast<double>(queue.refused));
  add(metrics, "queue_wait_seconds_total", "Time that requests waited for a worker.", counter,
      seconds(static_cast<double>(queue.wait_ns)));
}

Sample stage_sample(const StageSnapshot& stage) {
  auto const& times = stage.histogram;
  auto const count = times.count();
  Sample sample{
      {{"stage", std::string(stage.name)}}, seconds(times.mean() * static_cast<double>(count)), {}};
  std::uint64_t so_far = 0;
  for (auto const bound : stage_bounds) {
    auto const up_to = count - times.count_above(bound);
    sample.buckets.push_back(up_to - so_far);
    so_far = up_to;
  }
  sample.buckets.push_back(count - so_far);
  return sample;
}

Family stage_family(const JourneySnapshot& journey) {
  Family family{"millrace_stage_duration_seconds",
                "Where the time of requests went: each stage of their journey.", histogram};
  for (auto const bound : stage_bounds)
    family.bounds.push_back(seconds(static_cast<double>(bound)));
  for (auto const& stage : journey.stages)
    if (stage.histogram.count()) family.samples.push_back(stage_sample(stage));
  return family;
}

}  // namespace

Metrics server_metrics(const ServerFigures& figures) {
  Metrics metrics;
  metrics.push_back(
      Family{"http_server_active_requests", "Requests that are being answered.", gauge}.add(
          {{"url_scheme", "http"}}, static_cast<double>(figures.in_flight)));
  for (auto const& row : trace::loop_counter_rows)
    metrics.push_back(loop_family(row, figures.loops));
  if (figures.requests) add_requests(metrics, *figures.requests);
  if (figures.queue) add_queue(metrics, *figures.queue);
  metrics.push_back(stage_family(figures.journey));
  return metrics;
}

}  // namespace millrace::observe
