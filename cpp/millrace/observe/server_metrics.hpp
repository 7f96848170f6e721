// A server's figures as metrics: what its loops, its queue and its journey say.
#pragma once
#include <optional>
#include <vector>

#include "millrace/observe/metrics.hpp"
#include "millrace/observe/stage_report.hpp"
#include "millrace/trace/counters.hpp"

namespace millrace::observe {

struct QueueFigures {
  std::size_t depth = 0, capacity = 0, workers = 0;
  std::uint64_t dispatched = 0, refused = 0, wait_ns = 0;
};

// Of an HTTP server; plain TCP has no queue of requests, and no bodies.
struct RequestFigures {
  std::size_t waiting = 0, at_once = 0, bodies_waiting = 0, body_bytes_held = 0;
};

struct ServerFigures {
  std::vector<const trace::LoopCounters*> loops;
  std::size_t in_flight = 0;
  std::optional<RequestFigures> requests;
  std::optional<QueueFigures> queue;
  JourneySnapshot journey;
};

Metrics server_metrics(const ServerFigures& figures);

}  // namespace millrace::observe
