#include "millrace/observe/slow_log.hpp"

#include <utility>

#include "millrace/observe/log_escape.hpp"

namespace millrace::observe {

void SlowLog::record(const trace::RequestDone& event) {
  if (event.duration() < options_.threshold) [[likely]]
    return;
  if (event.ended - second_began_ >= base::seconds(1)) {
    second_began_ = event.ended;
    lines_this_second_ = 0;
  }
  if (lines_this_second_ == options_.lines_per_second) {
    ++suppressed_;
    return;
  }
  ++lines_this_second_;
  write(event);
}

// A JSON object; durations in nanoseconds.
void SlowLog::write(const trace::RequestDone& event) {
  line_ = R"({"method":)";
  append_json_string(line_, event.words.method());
  line_ += R"(,"target":)";
  append_json_string(line_, event.words.target());
  line_ += R"(,"status":)";
  append_number(line_, event.status);
  line_ += R"(,"duration":)";
  append_number(line_, event.duration());
  line_ += R"(,"suppressed":)";
  append_number(line_, std::exchange(suppressed_, 0));
  line_ += R"(,"stages":{)";
  char const* separator = "\"";
  for (auto const& row : trace::stage_rows) {
    auto const lasted = event.stamps.duration(row);
    if (lasted < 0 || row.stage == trace::Stage::total) continue;
    line_ += std::exchange(separator, ",\"");
    line_ += row.name;
    line_ += "\":";
    append_number(line_, lasted);
  }
  line_ += "}}\n";
  ring_.put(line_);
}

}  // namespace millrace::observe
