// The one asyncio loop of a server, on a reactor's thread.
#pragma once
#include <atomic>
#include <memory>
#include <thread>

#include "gil.hpp"
#include "ref.hpp"

#include "millrace/net/reactor.hpp"

namespace millrace::python {

class CoroutineCall;

// The class of what asyncio's selector waits with.
PyTypeObject* make_turn_type();

// A standard SelectorEventLoop whose selector's wait is a turn of the reactor, so that sockets,
// timers and letters of ours and callbacks, timers and descriptors of asyncio's are served by one
// thread without hand-offs. Made and destroyed with the GIL held; "home" is the reactor's thread.
class AsyncioHost {
 public:
  // Makes the loop; null and an exception raised where that fails. `reactor`: null for one of its
  // own, which run_alone() serves. Outlived by it otherwise.
  static std::unique_ptr<AsyncioHost> make(net::Reactor* reactor);
  ~AsyncioHost();

  // Runs the loop until the reactor is stopped, then cancels what is left on it and closes it.
  // Home, GIL held.
  void run(ThreadState& state);
  // The same on a thread of its own, which belongs to `engine`; stop_alone() ends it, without the
  // GIL.
  void run_alone(const void* engine);
  void stop_alone();

  PyObject* loop() const { return loop_.get(); }  // borrowed
  net::Reactor& reactor() { return *reactor_; }
  bool in_thread() const { return reactor_->in_thread(); }
  bool is_stopping() const { return is_stopping_; }
  int thread_id() const {
    return thread_id_.load(std::memory_order_relaxed);
  }  // the kernel's; 0: no thread of its own
  // Calls that wait for something. Home.
  std::size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

  // A new future of the loop.
  PyObject* create_future();
  // A call's first step: the loop's current task is `task` meanwhile, and then again the one from
  // before. There is one where an answer, sent by its last step, lets the next request begin.
  bool enter_task(PyObject* task, Ref& before);
  void leave_task(Ref before);
  bool has_current_task() const { return current_tasks_.get() != nullptr; }

  void add(CoroutineCall& call);
  void remove(CoroutineCall& call);
  // Frees the calls that are left, when neither loop nor exchanges exist any more. GIL held.
  void abandon_calls();

  // The selector's wait, called by the loop.
  PyObject* turn(PyObject* timeout);

 private:
  class Guard;
  class InnerReady;
  AsyncioHost() = default;
  bool has_work() const;

  std::unique_ptr<net::Reactor> own_reactor_;
  net::Reactor* reactor_ = nullptr;
  std::thread thread_;
  std::atomic<int> thread_id_{0};
  Ref loop_, selector_, inner_select_, self_, empty_;
  Ref ready_, scheduled_;  // the loop's own deque and heap
  Ref current_tasks_;      // asyncio's dict; empty where this Python keeps them elsewhere
  Py_ssize_t scheduled_before_ = 0;
  bool inner_is_ready_ = false;
  bool is_running_ = false, is_stopping_ = false;
  std::atomic<std::size_t> waiting_{0};
  CoroutineCall* first_ = nullptr;
};

}  // namespace millrace::python
