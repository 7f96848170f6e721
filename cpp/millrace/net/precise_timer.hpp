// A timer for moments that matter: met within tens of microseconds, where the wheel takes its time.
#pragma once
#include <cstdint>
#include <functional>

#include "millrace/base/time.hpp"
#include "millrace/net/reactor.hpp"

namespace millrace::net {

// A timerfd that the loop watches. Costs a descriptor, and a system call each time it is set; for
// many deadlines that rarely fire take the reactor's wheel. Home loop only, or before it runs.
class PreciseTimer final : public Readiness {
 public:
  // `fire` is called on the loop at or just after the moment set; it may set the next one.
  // Throws std::system_error where descriptors have run out.
  PreciseTimer(Reactor& reactor, std::function<void(base::Time now)> fire);
  PreciseTimer(const PreciseTimer&) = delete;
  PreciseTimer& operator=(const PreciseTimer&) = delete;
  ~PreciseTimer();

  // Takes the place of what had been set. A moment that has passed fires in the next turn.
  void set(base::Time when);
  void clear();

  // Readiness
  void on_ready(std::uint32_t epoll_events) override;

 private:
  void program(base::Time when);

  Reactor& reactor_;
  std::function<void(base::Time now)> fire_;
  int descriptor_ = -1;
  bool is_set_ = false;
};

}  // namespace millrace::net
