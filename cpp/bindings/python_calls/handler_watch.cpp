#include "handler_watch.hpp"

#include <algorithm>
#include <chrono>

#include "host_module.hpp"
#include "interpreter_state.hpp"

#include "millrace/net/reactor.hpp"

namespace millrace::python {

HandlerWatch::HandlerWatch(const void* engine, base::Duration stuck, trace::Counter& counter)
    : engine_(engine),
      stuck_(stuck),
      counter_(counter),
      interpreter_(PyInterpreterState_Get()),
      thread_([this, &state = interpreter_state()] {
        belong_to(interpreter_, state);
        run();
      }) {}

HandlerWatch::~HandlerWatch() { stop(); }

void HandlerWatch::stop() {
  {
    std::lock_guard const guard(lock_);
    is_stopped_ = true;
  }
  stopping_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void HandlerWatch::run() {
  std::unique_lock guard(lock_);
  while (!stopping_.wait_for(guard, std::chrono::nanoseconds(stuck_ / 4),
                             [this] { return is_stopped_; })) {
    guard.unlock();
    look();
    guard.lock();
  }
}

void HandlerWatch::look() {
  auto const now = net::Reactor::clock();
  std::vector<Seen> found;
  for (auto& call : calls_now(engine_)) {
    auto const before = std::ranges::find_if(seen_, [&](const Seen& one) {
      return one.call.thread == call.thread && one.call.number == call.number;
    });
    found.push_back(before == seen_.end() ? Seen{std::move(call), now} : std::move(*before));
  }
  seen_ = std::move(found);
  for (auto& one : seen_) {
    if (one.is_told || now - one.since < stuck_) continue;
    one.is_told = true;
    counter_.add();
    tell(one.call, now - one.since);
  }
}

void HandlerWatch::tell(const ThreadCalls::Call& call, base::Duration so_far) {
  ThreadState state(interpreter_);
  state.take();
  {
    // Of this thread alone: sys._current_frames() makes frames of other interpreters' threads too,
    // with this one's allocator, and they crash when theirs frees them (CPython 3.13).
    auto* const within = state_within(engine_, call);
    Ref const frame(within ? as_object(PyThreadState_GetFrame(within)) : nullptr);
    Ref const thread(PyLong_FromUnsignedLong(call.thread)), handler(to_str(call.handler)),
        what(to_str(call.what)), seconds(PyFloat_FromDouble(static_cast<double>(so_far) / 1e9));
    Ref const told(thread && handler && what && seconds
                       ? call_host("name_stuck", thread.get(), handler.get(), what.get(),
                                   seconds.get(), frame ? frame.get() : Py_None)
                       : nullptr);
    if (!told) PyErr_WriteUnraisable(nullptr);
  }
  state.give();
}

}  // namespace millrace::python
