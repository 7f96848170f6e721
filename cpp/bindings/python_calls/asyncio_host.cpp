#include "asyncio_host.hpp"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <limits>

#include "call_soon.hpp"
#include "coroutine_call.hpp"
#include "handler_task.hpp"
#include "heap_type.hpp"
#include "host_module.hpp"
#include "interpreter_state.hpp"
#include "threads.hpp"

namespace millrace::python {
namespace {

struct TurnObject {
  PyObject_HEAD AsyncioHost* host;  // null once it is gone
};

PyObject* select(PyObject* self, PyObject* timeout) {
  auto* const host = reinterpret_cast<TurnObject*>(self)->host;
  if (host) return host->turn(timeout);
  PyErr_SetString(PyExc_RuntimeError, "the server of this loop is gone");
  return nullptr;
}

PyMethodDef turn_methods[] = {{"select", select, METH_O, "Waits, at most so many seconds."}, {}};

}  // namespace

PyTypeObject* make_turn_type() {
  PyType_Slot slots[] = {slot(Py_tp_doc, "One wait of the reactor."),
                         slot(Py_tp_dealloc, free_instance),
                         slot(Py_tp_methods, turn_methods),
                         {}};
  return make_type<TurnObject>("millrace._core.Turn", Py_TPFLAGS_DISALLOW_INSTANTIATION, slots);
}

// asyncio's own descriptors have something to say.
class AsyncioHost::InnerReady final : public net::Readiness {
 public:
  explicit InnerReady(AsyncioHost& host) : host_(host) {}
  void on_ready(std::uint32_t) override { host_.inner_is_ready_ = true; }

 private:
  AsyncioHost& host_;
};

// As every loop's, and leaves the turn as soon as asyncio has something to run.
class AsyncioHost::Guard final : public GilGuard {
 public:
  Guard(AsyncioHost& host, ThreadState& state) : GilGuard(state, host.reactor()), host_(host) {}
  bool end_of_turn() override { return host_.has_work(); }

 private:
  AsyncioHost& host_;
};

std::unique_ptr<AsyncioHost> AsyncioHost::make(net::Reactor* reactor) {
  if (!prepare_tasks()) return nullptr;
  std::unique_ptr<AsyncioHost> host(new AsyncioHost);
  if (!reactor) {
    host->own_reactor_ = std::make_unique<net::Reactor>();
    reactor = host->own_reactor_.get();
  }
  host->reactor_ = reactor;
  auto* const turn = PyObject_New(TurnObject, interpreter_state().types.turn);
  if (!turn) return nullptr;
  turn->host = host.get();
  host->self_ = Ref(as_object(turn));
  host->selector_ = Ref(call_host("make_selector", as_object(turn)));
  if (!host->selector_) return nullptr;
  host->loop_ = Ref(call_host("make_loop", host->selector_.get()));
  if (!host->loop_) return nullptr;
  host->inner_select_ = Ref(PyObject_GetAttrString(host->selector_.get(), "inner_select"));
  host->ready_ = Ref(PyObject_GetAttrString(host->loop_.get(), "_ready"));
  host->empty_ = Ref(PyTuple_New(0));
  if (!host->inner_select_ || !host->ready_) return nullptr;
  Ref const call_soon(make_call_soon(host->loop_.get()));
  if (!call_soon || PyObject_SetAttrString(host->loop_.get(), "call_soon", call_soon.get()) < 0)
    return nullptr;
  Ref const tasks(PyImport_ImportModule("_asyncio"));
  host->current_tasks_ =
      Ref(tasks ? PyObject_GetAttrString(tasks.get(), "_current_tasks") : nullptr);
  if (host->current_tasks_ && !PyDict_CheckExact(host->current_tasks_.get()))
    host->current_tasks_.reset();
  PyErr_Clear();  // without that dict every request gets a real task
  return host;
}

AsyncioHost::~AsyncioHost() {
  if (self_) reinterpret_cast<TurnObject*>(self_.get())->host = nullptr;
  if (loop_ && !is_stopping_) {  // it never ran, so it was not closed either
    Ref const closed(PyObject_CallMethod(loop_.get(), "close", nullptr));
    if (!closed) PyErr_Clear();
  }
}

void AsyncioHost::run(ThreadState& state) {
  Guard guard(*this, state);
  InnerReady inner(*this);
  Ref const number(PyObject_CallMethod(selector_.get(), "fileno", nullptr));
  int const descriptor = number ? static_cast<int>(PyLong_AsLong(number.get())) : -1;
  if (descriptor < 0 || !reactor_->watch(descriptor, EPOLLIN, inner)) {
    PyErr_WriteUnraisable(loop_.get());
    return;
  }
  reactor_->set_guard(&guard);
  is_running_ = true;
  Ref const run(call_host("run", loop_.get()));
  if (!run) PyErr_WriteUnraisable(loop_.get());
  // From here on the loop waits for its own descriptors only, so that clean-up code can still use
  // it.
  is_running_ = false;
  is_stopping_ = true;
  reactor_->set_guard(nullptr);
  reactor_->unwatch(descriptor);
  net::Outbox::mine().release();
  Ref const closed(call_host("close", loop_.get()));
  if (!closed) PyErr_WriteUnraisable(loop_.get());
}

void AsyncioHost::run_alone(const void* engine) {
  thread_ = std::thread([this, engine, interpreter = PyInterpreterState_Get()] {
    mark_thread_of(engine);
    thread_id_.store(static_cast<int>(::syscall(SYS_gettid)), std::memory_order_relaxed);
    ThreadState state(interpreter);
    state.take();
    run(state);
    reactor_->run();  // it is stopped: opens the letters that are left
    state.give();
  });
}

void AsyncioHost::stop_alone() {
  if (!thread_.joinable()) return;
  reactor_->stop();
  thread_.join();
}

PyObject* AsyncioHost::turn(PyObject* timeout) {
  if (!is_running_) return call_one(inner_select_.get(), timeout);
  net::Outbox::mine().release();
  constexpr auto never = std::numeric_limits<base::Time>::max();
  auto until = never;
  if (timeout != Py_None) {
    auto const seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred()) return nullptr;
    until = seconds <= 0 ? 0 : net::Reactor::clock() + static_cast<base::Duration>(seconds * 1e9);
  }
  inner_is_ready_ = false;
  // Not the same list for ever: asyncio makes a new one when many timers were cancelled.
  scheduled_ = Ref(PyObject_GetAttrString(loop_.get(), "_scheduled"));
  if (!scheduled_) return nullptr;
  scheduled_before_ = Py_SIZE(scheduled_.get());
  reactor_->turn(until);
  // Answers that callbacks send to other loops leave with the next turn, together.
  net::Outbox::mine().hold();
  if (reactor_->is_stopped()) {
    Ref const stopped(PyObject_CallMethod(loop_.get(), "stop", nullptr));
    if (!stopped) return nullptr;
  }
  if (inner_is_ready_) {
    Ref const zero(PyLong_FromLong(0));
    return call_one(inner_select_.get(), zero.get());
  }
  return Py_NewRef(empty_.get());
}

bool AsyncioHost::has_work() const {
  return inner_is_ready_ || Py_SIZE(ready_.get()) > 0 ||
         Py_SIZE(scheduled_.get()) != scheduled_before_;
}

PyObject* AsyncioHost::create_future() {
  return PyObject_CallMethodNoArgs(loop_.get(), interpreter_state().names.create_future);
}

bool AsyncioHost::enter_task(PyObject* task, Ref& before) {
  before = Ref::borrow(PyDict_GetItemWithError(current_tasks_.get(), loop_.get()));
  if (!before && PyErr_Occurred()) return false;
  return PyDict_SetItem(current_tasks_.get(), loop_.get(), task) == 0;
}

void AsyncioHost::leave_task(Ref before) {
  Ref raised = take_raised();
  auto const left = before ? PyDict_SetItem(current_tasks_.get(), loop_.get(), before.get())
                           : PyDict_DelItem(current_tasks_.get(), loop_.get());
  if (left < 0) PyErr_Clear();
  if (raised) raise(std::move(raised));
}

void AsyncioHost::add(CoroutineCall& call) {
  call.next_ = first_;
  if (first_) first_->previous_ = &call;
  first_ = &call;
  waiting_.store(waiting_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void AsyncioHost::remove(CoroutineCall& call) {
  (call.previous_ ? call.previous_->next_ : first_) = call.next_;
  if (call.next_) call.next_->previous_ = call.previous_;
  waiting_.store(waiting_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

void AsyncioHost::abandon_calls() {
  while (first_) first_->abandon();
}

}  // namespace millrace::python
