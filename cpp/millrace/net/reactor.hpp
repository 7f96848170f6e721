// The event loop: level-triggered epoll, a timer wheel, letters from other threads.
#pragma once
#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "millrace/base/error.hpp"
#include "millrace/base/time.hpp"
#include "millrace/net/letter.hpp"
#include "millrace/net/timer_wheel.hpp"
#include "millrace/trace/counters.hpp"

namespace millrace::net {

// Told when its descriptor is ready. Home loop only.
class Readiness {
 public:
  virtual void on_ready(std::uint32_t epoll_events) = 0;

 protected:
  ~Readiness() = default;
};

// What surrounds the wait. The only place where a language run-time (its lock, its own loop)
// attaches. Home loop only.
class PollGuard {
 public:
  virtual ~PollGuard() = default;
  virtual void before_wait() = 0;  // not called for a wait of 0
  virtual void after_wait() = 0;
  virtual bool has_ready() { return false; }  // true: do not sleep, something of ours wants to run
  virtual bool end_of_turn() {
    return false;
  }  // after all that one wait brought; true: leave turn()
};

// Called at the end of each turn: dispatchers wake their workers here, once for all that the turn
// brought.
class TurnObserver {
 public:
  virtual ~TurnObserver() = default;
  virtual void end_of_turn() = 0;
};

// Something that nobody but the loop holds on to, such as a connect under way. The reactor's
// destructor deletes those that are left. Home loop only.
class Resident {
 public:
  virtual ~Resident();
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;

 protected:
  explicit Resident(Reactor& reactor);

 private:
  friend class Reactor;
  Resident** first_;
  Resident* previous_ = nullptr;
  Resident* next_ = nullptr;
};

// One loop, one thread for life. "Any thread." where said so, else home loop only (or before
// run()).
class Reactor {
 public:
  // Descriptors that one wait may name. More only delays the letters; fewer means more waits under
  // load.
  static constexpr std::size_t events_per_wait = 256;

  // `time` is where now() comes from: the clock, or a test that plays it. Throws std::system_error
  // where descriptors have run out.
  explicit Reactor(base::Time (*time)() = clock);
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // Runs turns until stop(); then runs what was posted before it, and returns. The calling thread
  // becomes home, and nobody's once it returns.
  void run();
  // Waits and handles what came, again and again, until guard->end_of_turn() says true, `until` has
  // passed (base::Time; 0: poll once without waiting; INT64_MAX: no end), or stop() was called
  // (then it polls once). The calling thread becomes home.
  void turn(base::Time until);
  // Any thread. Final: a stopped reactor does not start again.
  void stop();
  bool is_stopped() const { return stopped_.load(std::memory_order_acquire); }  // any thread
  bool in_thread() const {
    return home_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }  // any thread

  // Home loop, or there is none (not yet run, or done running). For assertions.
  bool may_touch() const { return in_thread() || home_.load() == std::thread::id{}; }

  // Any thread. Runs on the loop in order of arrival, after the events and letters of the current
  // turn. Destroyed without having run if it was posted after stop().
  void post(std::function<void()> task);
  // Any thread. As post, without allocating; see Outbox.
  void deliver(Letter& letter);
  void deliver_chain(Letter& newest, Letter& oldest);  // linked newest to oldest; not held back

  // When the current turn's wait returned. A cheap clock for deadlines. Old between two calls of
  // turn().
  base::Time now() const { return now_; }
  // Reads the clock. Any thread.
  static base::Time clock();

  base::Status watch(int descriptor, std::uint32_t epoll_events, Readiness& readiness);
  void rewatch(int descriptor, std::uint32_t epoll_events, Readiness& readiness);
  // Its readiness is not called again, not even for an event that the current turn has fetched
  // already. Before close(2): a child between fork and exec would keep a closed descriptor's events
  // coming.
  void unwatch(int descriptor);

  // Deletes `object` at the end of the turn, when no event of it can name it any more.
  template <class T>
  void dispose(T* object) {
    graveyard_.push_back({object, [](void* p) { delete static_cast<T*>(p); }});
  }

  // Called when the loop starts and about once a second, before the events of the turn. Keeps Date
  // fresh.
  void each_second(std::function<void()> task) { each_second_.push_back(std::move(task)); }
  void observe_turns(TurnObserver& observer) { turn_observers_.push_back(&observer); }
  void forget_turns(TurnObserver& observer);
  void set_guard(PollGuard* guard) { guard_ = guard; }

  TimerWheel& wheel() { return wheel_; }
  trace::LoopCounters& counters() { return counters_; }
  const trace::LoopCounters& counters() const { return counters_; }  // any thread

 private:
  friend class Resident;
  // Rung by other threads. Edge-triggered, so that nobody has to read it.
  class Doorbell final : public Readiness {
   public:
    explicit Doorbell(Reactor& reactor) : reactor_(reactor) {}
    void on_ready(std::uint32_t) override { reactor_.counters_.wakeups.add(); }

   private:
    Reactor& reactor_;
  };

  // The wait has ended, and that is all that was wanted of it.
  class Alarm final : public Readiness {
   public:
    void on_ready(std::uint32_t) override {}
  };

  void become_home();
  void wake();
  int wait_time(base::Time until);   // milliseconds for epoll_wait
  bool set_alarm(base::Time at);     // true: the wait needs no timeout of its own
  bool turn_once(base::Time until);  // true: the guard wants to leave
  std::size_t wait(int timeout_ms);
  void dispatch_events(std::size_t count);
  void run_each_second();
  void open_letters();
  void run_posted();
  void bury();

  int epoll_ = -1;
  int event_descriptor_ = -1;
  int alarm_descriptor_ = -1;
  base::Time alarm_at_ = 0;  // when it will ring; in the past: it has
  base::Time (*const time_)();
  base::Time now_ = 0;
  base::Time next_second_ = 0;
  PollGuard* guard_ = nullptr;
  TimerWheel wheel_;
  trace::LoopCounters counters_;
  Doorbell doorbell_{*this};
  Alarm alarm_;
  std::array<epoll_event, events_per_wait> ready_;
  std::size_t ready_at_ = 0, ready_count_ = 0;  // the events not yet dispatched
  std::vector<Readiness*> watched_;             // by descriptor
  std::vector<std::function<void()>> each_second_;
  std::vector<TurnObserver*> turn_observers_;
  std::vector<std::pair<void*, void (*)(void*)>> graveyard_;
  Resident* residents_ = nullptr;

  std::atomic<std::thread::id> home_{};
  std::atomic<bool> stopped_{false};
  // Written by other threads: on a line of their own, or each letter would slow the loop's own
  // reads.
  alignas(64) std::atomic<Letter*> letters_{nullptr};
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> has_posted_{false};
  std::mutex posted_lock_;
  std::vector<std::function<void()>> posted_;
  std::vector<std::function<void()>> running_;  // taken from posted_; keeps its storage
};

}  // namespace millrace::net
