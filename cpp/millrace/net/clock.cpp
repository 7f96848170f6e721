#include "millrace/net/clock.hpp"

#include <time.h>

#include <atomic>
#include <fstream>
#include <string>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace millrace::net {
namespace {

using base::Duration;
using base::Time;

Time read_kernel_clock() {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  return base::seconds(at.tv_sec) + at.tv_nsec;
}

#if defined(__x86_64__)

// The counter's rate is measured between the first reading and one at least this much later: an
// error of 100 ns in either is 2 millionths of it, which over anchor_window is 2 ns.
constexpr Duration calibration = base::milliseconds(50);

__extension__ using Wide = unsigned __int128;  // no multiplication below overflows it

struct Reading {
  std::uint64_t ticks = 0;
  Time time = 0;
};

// The counter and the clock at the same moment. A thread that is put aside between the two would
// pair readings that do not belong together, so the pair is tried again until both lie close; a few
// thousand ticks are about a microsecond.
Reading read_both() {
  constexpr std::uint64_t close_enough = 2'000;
  constexpr int tries = 8;
  Reading best;
  auto closest = UINT64_MAX;
  for (int i = 0; i < tries && closest > close_enough; ++i) {
    auto const before = __rdtsc();
    auto const time = read_kernel_clock();
    auto const apart = __rdtsc() - before;
    if (apart >= closest) continue;
    closest = apart;
    best = {before + apart / 2, time};
  }
  return best;
}

// The kernel uses the counter only where it is constant, runs on in sleep and agrees between the
// processors.
bool kernel_trusts_counter() {
  std::string source;
  std::ifstream("/sys/devices/system/clocksource/clocksource0/current_clocksource") >> source;
  return source == "tsc";
}

// Nanoseconds per tick as a 32.32 fixed-point number, and the ticks of anchor_window; 0 until the
// rate is known.
std::atomic<std::uint64_t> rate{0};
std::atomic<std::uint64_t> window_ticks{0};

void calibrate(const Reading& now) {
  static const bool trusted = kernel_trusts_counter();
  static const Reading first = now;
  auto const elapsed = now.time - first.time;
  if (!trusted || elapsed < calibration) return;
  auto const ticks = now.ticks - first.ticks;
  auto const measured = (static_cast<Wide>(elapsed) << 32) / ticks;
  rate.store(static_cast<std::uint64_t>(measured), std::memory_order_relaxed);
  // Last: who sees the window sees a rate.
  window_ticks.store(
      static_cast<std::uint64_t>(anchor_window) * ticks / static_cast<std::uint64_t>(elapsed),
      std::memory_order_release);
}

thread_local constinit Reading anchor{};

#endif

}  // namespace

base::Time read_clock() {
#if defined(__x86_64__)
  auto const distance = __rdtsc() - anchor.ticks;
  if (distance < window_ticks.load(std::memory_order_acquire)) [[likely]]
    return anchor.time + static_cast<Time>((distance * rate.load(std::memory_order_relaxed)) >> 32);
  anchor = read_both();
  if (window_ticks.load(std::memory_order_relaxed) == 0) calibrate(anchor);
  return anchor.time;
#else
  return read_kernel_clock();
#endif
}

}  // namespace millrace::net
