#include "millrace/net/precise_timer.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "millrace/net/system_error.hpp"

namespace millrace::net {

PreciseTimer::PreciseTimer(Reactor& reactor, std::function<void(base::Time now)> fire)
    : reactor_(reactor), fire_(std::move(fire)) {
  descriptor_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (descriptor_ < 0) throw_system_error("cannot create a timer descriptor");
  if (!reactor_.watch(descriptor_, EPOLLIN, *this)) {
    ::close(descriptor_);
    throw_system_error("cannot watch a timer descriptor");
  }
}

PreciseTimer::~PreciseTimer() {
  reactor_.unwatch(descriptor_);
  ::close(descriptor_);
}

void PreciseTimer::set(base::Time when) {
  is_set_ = true;
  // 0 would switch it off.
  program(std::max<base::Time>(when, 1));
}

void PreciseTimer::clear() {
  if (std::exchange(is_set_, false)) program(0);
}

void PreciseTimer::on_ready(std::uint32_t) {
  is_set_ = false;
  fire_(Reactor::clock());
  // Setting it anew takes the old expiry back, so that nobody has to read the descriptor.
  if (!is_set_) program(0);
}

void PreciseTimer::program(base::Time when) {
  itimerspec at{};
  at.it_value.tv_sec = when / base::seconds(1);
  at.it_value.tv_nsec = when % base::seconds(1);
  [[maybe_unused]] int const failed =
      ::timerfd_settime(descriptor_, TFD_TIMER_ABSTIME, &at, nullptr);
  assert(!failed && "timerfd_settime with a valid descriptor and time");
}

}  // namespace millrace::net
