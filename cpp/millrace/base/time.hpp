// Time as the engine hands it around: nanoseconds on the monotonic clock, always an argument.
#pragma once
#include <cstdint>

namespace millrace::base {

// Nanoseconds since an arbitrary start (CLOCK_MONOTONIC in production, anything in a test).
using Time = std::int64_t;
using Duration = std::int64_t;  // nanoseconds

constexpr Duration microseconds(std::int64_t n) { return n * 1'000; }
constexpr Duration milliseconds(std::int64_t n) { return n * 1'000'000; }
constexpr Duration seconds(std::int64_t n) { return n * 1'000'000'000; }

}  // namespace millrace::base
