// How long a slow peer is waited for: a silence is bounded, and so is a trickle.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "millrace/base/time.hpp"

namespace millrace::base {

// What is left of the patience with a peer after it was waited for and has then moved `bytes`:
// waiting spends it, each byte earns 1/`bytes_per_second` of a second, and never is there more than
// `most`. So a peer that keeps to the rate is waited for without end, whatever its pauses within
// `most`. Rate 0: any byte restores all of it.
constexpr Duration patience_left(Duration left, Duration waited, std::size_t bytes,
                                 std::uint64_t bytes_per_second, Duration most) {
  if (bytes_per_second == 0) return bytes > 0 ? most : left - waited;
  auto const whole =
      bytes / bytes_per_second;  // seconds; beyond `most` it does not matter how many
  if (whole >= static_cast<std::uint64_t>(most / seconds(1)) + 1) return most;
  auto const rest = bytes % bytes_per_second;
  auto const earned = seconds(static_cast<std::int64_t>(whole)) +
                      static_cast<Duration>(static_cast<double>(rest) /
                                            static_cast<double>(bytes_per_second) * 1e9);
  return std::min(most, left - waited + earned);
}

}  // namespace millrace::base
