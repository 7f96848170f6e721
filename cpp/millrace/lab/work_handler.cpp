#include "millrace/lab/work_handler.hpp"

#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <string>
#include <utility>

#include "millrace/base/random.hpp"

namespace millrace::lab {

namespace {

constexpr base::Duration second = base::seconds(1);

// Of slow requests so rare that none is met: the conversion to an integer must not overflow.
constexpr double longest_run = 1e18;

base::Duration read_clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * second + now.tv_nsec;
}

// Reading the clock is a system call; a few hundred nanoseconds of arithmetic between two readings
// keep most of the work in user space, where a real handler's would be.
void compute_a_little() {
  volatile std::uint64_t sink = 0;
  for (int i = 0; i < 256; ++i) sink = sink * 6364136223846793005ULL + 1442695040888963407ULL;
}

void compute(base::Duration cpu) {
  if (cpu <= 0) return;
  auto const end = read_clock(CLOCK_THREAD_CPUTIME_ID) + cpu;
  while (read_clock(CLOCK_THREAD_CPUTIME_ID) < end) compute_a_little();
}

void sleep(base::Duration wait) {
  if (wait <= 0) return;
  auto const end = read_clock(CLOCK_MONOTONIC) + wait;
  timespec const until{.tv_sec = end / second, .tv_nsec = end % second};
  // Against an absolute time, so that a signal does not prolong it.
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

bool is_price(const Price& price) { return price.cpu >= 0 && price.wait >= 0; }

}  // namespace

base::Status check(const WorkOptions& options) {
  if (!is_price(options.usual) || !is_price(options.slow))
    return base::failure(base::Errc::invalid_option, {}, "a duration below 0");
  if (!(options.slow_fraction >= 0 && options.slow_fraction <= 1))
    return base::failure(
        base::Errc::invalid_option, {},
        "slow_fraction " + std::to_string(options.slow_fraction) + " is not between 0 and 1");
  return {};
}

bool is_slow(const WorkOptions& options, std::uint64_t ordinal) {
  if (options.slow_fraction <= 0) return false;
  auto const run =
      static_cast<std::uint64_t>(std::min(std::round(1 / options.slow_fraction), longest_run));
  // A generator per run instead of a stream shared by all threads: no lock, and the same answer for
  // the same number.
  base::Random random(options.seed + ordinal / run * 0x9e3779b97f4a7c15ULL);
  return random.next() % run == ordinal % run;
}

WorkHandler::WorkHandler(const WorkOptions& options, Around around)
    : options_(options),
      around_(std::move(around)),
      fields_{{"Content-Type", "text/plain; charset=utf-8"}} {}

void WorkHandler::handle(conn::Exchange& exchange) {
  auto const ordinal = requests_.fetch_add(1, std::memory_order_relaxed);
  auto const& price = is_slow(options_, ordinal) ? options_.slow : options_.usual;
  auto const work = [&price] {
    compute(price.cpu);
    sleep(price.wait);
  };
  around_ ? around_(work) : work();
  exchange.native = true;
  exchange.reply({.status = 200, .preset = &fields_, .fields = {}, .content_length = {}},
                 base::Bytes::borrowed("done"));
}

}  // namespace millrace::lab
