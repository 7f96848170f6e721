#include "millrace/conn/failure_counts.hpp"

namespace millrace::conn {

using base::Errc;

void count_failure(trace::LoopCounters& counters, Errc code) {
  switch (code) {
    case Errc::idle_timeout:
      counters.idle_timeouts.add();  // the ordinary end of a kept connection, and no failure
      return;
    case Errc::header_timeout:
      counters.header_timeouts.add();
      counters.timeouts.add();
      return;
    case Errc::body_timeout:
      counters.body_timeouts.add();
      counters.timeouts.add();
      return;
    case Errc::write_timeout:
      counters.write_timeouts.add();
      counters.timeouts.add();
      return;
    case Errc::target_too_long:
    case Errc::head_too_large:
    case Errc::too_many_fields:
      counters.heads_too_large.add();
      [[fallthrough]];
    default:
      counters.protocol_errors.add();
  }
}

}  // namespace millrace::conn
