// When requests are due in an open loop, whatever became of those before.
#pragma once
#include <cstdint>
#include <limits>

#include "millrace/base/random.hpp"
#include "millrace/base/time.hpp"

namespace millrace::lab {

enum class Spacing : std::uint8_t {
  constant,  // one every 1/rate seconds
  poisson,   // independent users: exponential gaps with mean 1/rate
};

// An endless list of moments, made as they are taken: requests that wait for a free connection need
// no memory, however many they are. Pure: same seed, same moments. One owner at a time.
class Arrivals {
 public:
  static constexpr double max_rate = 1e9;  // a gap of 1 ns

  // No arrivals at all where `rate` (per second) is 0. `phase`, 0 to 1, moves a constant schedule
  // by that part of a gap, so that several threads together keep one.
  Arrivals(Spacing spacing, double rate, std::uint64_t seed, double phase = 0)
      : spacing_(spacing), gap_(rate > 0 ? 1e9 / rate : 0), phase_(phase), random_(seed) {}

  void start(base::Time at) {
    start_ = at;
    taken_ = 0;
    elapsed_ = spacing_ == Spacing::poisson ? random_.exponential(gap_) : phase_ * gap_;
  }
  // The earliest that has not been taken.
  base::Time next() const {
    if (gap_ == 0) return std::numeric_limits<base::Time>::max();
    return start_ + static_cast<base::Time>(elapsed_);
  }
  base::Time take() {
    auto const due = next();
    ++taken_;
    // A constant schedule is multiplied out, so that rounding does not add up.
    elapsed_ = spacing_ == Spacing::poisson ? elapsed_ + random_.exponential(gap_)
                                            : (static_cast<double>(taken_) + phase_) * gap_;
    return due;
  }

 private:
  Spacing spacing_;
  double gap_;  // nanoseconds
  double phase_;
  base::Random random_;
  base::Time start_ = 0;
  double elapsed_ =
      0;  // from start_ to the next one; below 2^53 ns (104 days) each nanosecond is told apart
  std::uint64_t taken_ = 0;
};

}  // namespace millrace::lab
