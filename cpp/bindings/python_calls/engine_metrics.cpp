// What an engine tells about itself to those who collect metrics.
#include "engine_parts.hpp"

#include "millrace/observe/process_metrics.hpp"
#include "millrace/observe/server_metrics.hpp"

namespace millrace::python {
namespace {

observe::QueueFigures figures_of(const exec::WorkerQueue& queue, const exec::Recipe& recipe) {
  auto const& counters = queue.counters();
  return {.depth = queue.depth(),
          .capacity = recipe.queue_capacity,
          .workers = recipe.workers,
          .dispatched = counters.dispatched.get(),
          .refused = counters.refused.get(),
          .wait_ns = counters.wait_ns.get()};
}

observe::RequestFigures figures_of(const server::Server& http) {
  return {.waiting = http.admission().waiting(),
          .at_once = http.admission().limit(),
          .bodies_waiting = http.body_memory().waiting(),
          .body_bytes_held = http.body_memory().held()};
}

}  // namespace

// Any thread, with the GIL or without.
observe::Metrics Engine::Parts::metrics() {
  auto& loops = server->loops();
  observe::ServerFigures figures{.loops = {},
                                 .in_flight = server->in_flight(),
                                 .requests = {},
                                 .queue = {},
                                 .journey = journey()};
  if (http) figures.requests = figures_of(*http);
  for (std::size_t i = 0; i < loops.size(); ++i) figures.loops.push_back(&loops[i].counters());
  if (auto const* queue = loops.queue()) figures.queue = figures_of(*queue, server->recipe());
  std::vector<observe::Metrics> all;
  for (auto const* recorder : recorders)
    if (auto const* requests = recorder->metrics()) all.push_back({requests->snapshot()});
  all.push_back(observe::server_metrics(figures));
  all.push_back(observe::process_metrics());
  return observe::merge(all);
}

observe::JourneySnapshot Engine::Parts::journey() const {
  std::vector<const observe::StageReport*> reports;
  for (auto* recorder : recorders) reports.push_back(&recorder->stages());
  return observe::merge(reports);
}

observe::Metrics Engine::metrics() const { return parts_ ? parts_->metrics() : observe::Metrics{}; }

observe::JourneySnapshot Engine::journey() const {
  return parts_ ? parts_->journey() : observe::JourneySnapshot{};
}

void Engine::reset_journey() {
  if (!parts_) return;
  for (auto* recorder : parts_->recorders) recorder->stages().reset();
}

}  // namespace millrace::python
