// What the kernel says about this process, under the names of Prometheus' client libraries.
#pragma once
#include "millrace/observe/metrics.hpp"

namespace millrace::observe {

// process_cpu_seconds_total, process_resident_memory_bytes and the like. What /proc does not tell
// is left out.
Metrics process_metrics();

}  // namespace millrace::observe
