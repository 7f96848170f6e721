// Durations as Python sees them: seconds, as float.
#pragma once
#include <cmath>

#include "millrace/base/time.hpp"

namespace millrace::bindings {

inline double seconds(base::Duration nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e9;  // times 1e-9 would make 60 s 60.00000000000001
}

inline base::Duration nanoseconds(double seconds) {
  // 146 years: what is longer, infinity included, means no limit and must not overflow.
  constexpr double longest = 4.6e9;
  return static_cast<base::Duration>(std::llround(std::fmin(seconds, longest) * 1e9));
}

}  // namespace millrace::bindings
