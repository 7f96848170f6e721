// Where the time of requests went: one histogram per stage and loop, merged when somebody looks.
#pragma once
#include <array>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "millrace/observe/histogram.hpp"
#include "millrace/trace/sink.hpp"

namespace millrace::observe {

struct StageSnapshot {
  std::string_view name;  // static text, as is `meaning`
  std::string_view meaning;
  Histogram histogram;  // empty: the stage did not occur
};

// What a server's loops have recorded, together. A value.
struct JourneySnapshot {
  bool enabled = false;
  std::uint64_t requests = 0;  // answered to their last byte
  std::vector<StageSnapshot>
      stages;  // accept first, total last; one row each, whether it occurred or not
};

// One per loop, which alone writes to it; the rest may be called from any thread.
class StageReport final : public trace::Sink {
 public:
  // `journey`: off, nothing is recorded and nothing allocated.
  explicit StageReport(bool journey) : enabled_(journey) {}

  // trace::Sink
  void connection_accepted(const trace::ConnectionAccepted& event) override;
  void request_done(const trace::RequestDone& event) override;

  JourneySnapshot snapshot() const;
  // What was recorded so far no longer shows.
  void reset();
  bool is_enabled() const { return enabled_; }

 private:
  const bool enabled_;
  Recorders<trace::stage_count> recorders_;
  // The writer is not asked to stop for a reset: snapshots leave out what had been there.
  mutable std::mutex reset_lock_;
  std::array<Histogram, trace::stage_count> before_reset_;
};

// The reports of all loops as one. Any thread.
JourneySnapshot merge(std::span<const StageReport* const> reports);

}  // namespace millrace::observe
