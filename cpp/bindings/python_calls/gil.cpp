#include "gil.hpp"

#include <mutex>
#include <vector>

#include "host_module.hpp"
#include "interpreter_state.hpp"

namespace millrace::python {
namespace {

thread_local bool held = false;

}  // namespace

ThreadState::~ThreadState() {
  PyEval_RestoreThread(state_);
  // The thread's stand-in object in `threading` would stay for good otherwise.
  Ref const done(call_host("thread_ends"));
  if (!done) PyErr_Clear();
  PyThreadState_Clear(state_);
  PyThreadState_DeleteCurrent();
}

void ThreadState::take() {
  PyEval_RestoreThread(state_);
  held = true;
  if (!python_) python_ = &interpreter_state();
  if (python_->left.any.load(std::memory_order_relaxed)) drop_now();
}

void ThreadState::give() {
  held = false;
  PyEval_SaveThread();
}

bool ThreadState::is_held() { return held; }

WithoutGil::WithoutGil() {
  (void)interpreter_state();  // what is dropped meanwhile is this interpreter's
  state_ = PyEval_SaveThread();
}

LockGivenUp::LockGivenUp() {
  if (!held) return;
  held = false;
  state_ = PyEval_SaveThread();
}

LockGivenUp::~LockGivenUp() {
  if (!state_) return;
  PyEval_RestoreThread(state_);
  held = true;
}

void drop_later(void* object) {
  if (held) {
    Py_DECREF(static_cast<PyObject*>(object));
    return;
  }
  auto& l = last_interpreter_state().left;
  std::lock_guard const guard(l.lock);
  l.objects.push_back(static_cast<PyObject*>(object));
  l.any.store(true, std::memory_order_relaxed);
}

void drop_now() {
  auto& l = interpreter_state().left;
  std::vector<PyObject*> objects;
  {
    std::lock_guard const guard(l.lock);
    objects.swap(l.objects);
    l.any.store(false, std::memory_order_relaxed);
  }
  for (auto* object : objects) Py_DECREF(object);
}

void GilGuard::after_wait() {
  state_.take();
  auto& counters = reactor_.counters();
  counters.gil_waits.add();
  // The reactor has read the clock right before.
  counters.gil_wait_ns.add(static_cast<std::uint64_t>(net::Reactor::clock() - reactor_.now()));
}

}  // namespace millrace::python
