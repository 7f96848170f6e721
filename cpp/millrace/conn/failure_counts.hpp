// Which counters a connection's failure belongs to.
#pragma once
#include "millrace/base/error.hpp"
#include "millrace/trace/counters.hpp"

namespace millrace::conn {

// A deadline that passed, or a message that was refused. Once for each, on the loop whose counters
// they are.
void count_failure(trace::LoopCounters& counters, base::Errc code);

}  // namespace millrace::conn
