// The monotonic clock, read cheaply: stamps are taken several times per request.
#pragma once
#include "millrace/base/time.hpp"

namespace millrace::net {

// CLOCK_MONOTONIC in nanoseconds. Any thread.
//
// Where the kernel itself trusts the processor's time-stamp counter, most readings are that
// counter's distance from the thread's last proper reading, at most `anchor_window` ago: a dozen
// instructions instead of the 75 of clock_gettime. The two differ by a few nanoseconds, so that a
// reading may lie that much before an earlier one.
base::Time read_clock();

constexpr base::Duration anchor_window = base::milliseconds(1);

}  // namespace millrace::net
