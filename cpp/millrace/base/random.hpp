// Seeded randomness: same seed, same numbers, on every machine.
#pragma once
#include <cmath>
#include <cstdint>
#include <random>

namespace millrace::base {

// SplitMix64 (Steele, Lea, Flood 2014). Not for secrets. One owner at a time.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // In (0, 1]: never 0, so that its logarithm is finite.
  double unit() { return (static_cast<double>(next() >> 11) + 1.0) * 0x1.0p-53; }
  // Time between two arrivals of a Poisson process with this mean.
  double exponential(double mean) { return -mean * std::log(unit()); }

 private:
  std::uint64_t state_;
};

// From the system's generator, so that nobody outside can tell it.
inline std::uint64_t system_seed() {
  std::random_device system;
  auto const half = std::uint64_t{system()} << 32;
  return half | system();
}

}  // namespace millrace::base
