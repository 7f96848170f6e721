#include "millrace/observe/stage_report.hpp"

#include <utility>

namespace millrace::observe {
namespace {

using trace::Moment;
using trace::Stage;
using trace::stage_rows;

constexpr std::size_t index_of(Stage stage) { return static_cast<std::size_t>(stage); }

// The one stage that has no row among the stamps, because a connection has it and not a request.
constexpr std::string_view accept_name = "accept";
constexpr std::string_view accept_meaning = "wait returned -> connection on its home loop";

constexpr bool accept_comes_first() {
  for (std::size_t i = 0; i < stage_rows.size(); ++i)
    if (index_of(stage_rows[i].stage) != i + 1) return false;
  return index_of(Stage::accept) == 0 && stage_rows.size() + 1 == trace::stage_count;
}
static_assert(accept_comes_first(), "a snapshot's rows stand in the order of Stage");

StageSnapshot empty_stage(std::size_t stage) {
  if (stage == index_of(Stage::accept)) return {accept_name, accept_meaning, {}};
  auto const& row = stage_rows[stage - 1];
  return {row.name, row.meaning, {}};
}

using Writer = Recorders<trace::stage_count>::Writer;

// What Stamps::duration says for this row, with the row known to the compiler: a stage that did not
// occur costs a load and a branch, and this runs ten times per request.
template <std::size_t row>
void record_row(const trace::Stamps& stamps, Writer writer) {
  constexpr auto stage = stage_rows[row];
  constexpr auto from = stage.from;
  auto const end = stamps[stage.to];
  if (end == 0) return;
  auto begin = stamps[from[0]];
  if constexpr (from[1] != from[0])
    if (begin == 0) begin = stamps[from[1]];
  if constexpr (from[2] != from[1])
    if (begin == 0) begin = stamps[from[2]];
  if (begin != 0) writer.record(end - begin, index_of(stage.stage));
}

template <std::size_t... row>
void record_rows(const trace::Stamps& stamps, Writer writer, std::index_sequence<row...>) {
  (record_row<row>(stamps, writer), ...);
}

}  // namespace

void StageReport::connection_accepted(const trace::ConnectionAccepted& event) {
  if (!enabled_) return;
  recorders_.record(event.at_home - event.ready, index_of(Stage::accept));
}

void StageReport::request_done(const trace::RequestDone& event) {
  if (!enabled_ || !event.is_complete()) return;
  constexpr auto every_row = std::make_index_sequence<stage_rows.size()>{};
  record_rows(event.stamps, recorders_.writer(), every_row);
}

JourneySnapshot StageReport::snapshot() const {
  JourneySnapshot seen{.enabled = enabled_};
  std::lock_guard const lock(reset_lock_);
  for (std::size_t i = 0; i < trace::stage_count; ++i) {
    seen.stages.push_back(empty_stage(i));
    seen.stages.back().histogram = recorders_.snapshot(i);
    seen.stages.back().histogram.subtract(before_reset_[i]);
  }
  seen.requests = seen.stages.back().histogram.count();
  return seen;
}

void StageReport::reset() {
  std::lock_guard const lock(reset_lock_);
  for (std::size_t i = 0; i < trace::stage_count; ++i) before_reset_[i] = recorders_.snapshot(i);
}

JourneySnapshot merge(std::span<const StageReport* const> reports) {
  JourneySnapshot all;
  for (std::size_t i = 0; i < trace::stage_count; ++i) all.stages.push_back(empty_stage(i));
  for (auto const* report : reports) {
    auto const one = report->snapshot();
    all.enabled |= one.enabled;
    all.requests += one.requests;
    for (std::size_t i = 0; i < trace::stage_count; ++i)
      all.stages[i].histogram.add(one.stages[i].histogram);
  }
  return all;
}

}  // namespace millrace::observe
