// The interpreter's lock on threads of ours: one thread state per thread for life, and who takes
// the lock when.
#pragma once
#include <atomic>

#include "ref.hpp"

#include "millrace/exec/pattern.hpp"
#include "millrace/net/reactor.hpp"

namespace millrace::python {

struct InterpreterState;

// A thread's own Python thread state. Making one per call would cost 5 us each time, taking the
// lock with one that is kept costs 85 ns. Made, entered, left and destroyed on one thread.
class ThreadState {
 public:
  explicit ThreadState(PyInterpreterState* interpreter) : state_(PyThreadState_New(interpreter)) {}
  ThreadState(const ThreadState&) = delete;
  ThreadState& operator=(const ThreadState&) = delete;
  // Not held. The interpreter must still be there: servers are stopped before it goes.
  ~ThreadState();

  void take();  // waits for the lock
  void give();

  // Whether this thread holds the lock through a state of ours.
  static bool is_held();

 private:
  PyThreadState* state_;
  InterpreterState* python_ = nullptr;  // once it was taken
};

// Gives the lock up while it lives, on a thread of the user's.
class WithoutGil {
 public:
  WithoutGil();
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  ~WithoutGil() { PyEval_RestoreThread(state_); }

 private:
  PyThreadState* state_;
};

// While it lives the lock is given up, where this thread holds it: around native work that blocks
// on a thread that runs Python otherwise.
class LockGivenUp {
 public:
  LockGivenUp();
  LockGivenUp(const LockGivenUp&) = delete;
  LockGivenUp& operator=(const LockGivenUp&) = delete;
  ~LockGivenUp();

 private:
  PyThreadState* state_ = nullptr;
};

// Drops a reference from any thread, with or without the lock: at once where it is held, else when
// a thread of ours takes it next.
void drop_later(void* object);
// Drops what has been left. GIL held.
void drop_now();

// A loop's thread holds the lock except while it waits: all that one wait brought is handled under
// one acquisition.
class GilGuard : public net::PollGuard {
 public:
  GilGuard(ThreadState& state, net::Reactor& reactor) : state_(state), reactor_(reactor) {}
  void before_wait() override { state_.give(); }
  void after_wait() override;

 private:
  ThreadState& state_;
  net::Reactor& reactor_;
};

}  // namespace millrace::python
