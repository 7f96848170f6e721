// What stands in a Task for a handler's coroutine.
#include "handler_task.hpp"
#include "heap_type.hpp"
#include "interpreter_state.hpp"
#include "steps.hpp"

namespace millrace::python {
namespace {

struct ResumeObject {
  PyObject_HEAD CoroutineCall* call;  // null once it is over
  PyObject* first;                    // what the first step yielded, until the task has it
};

ResumeObject* resume_of(PyObject* self) { return reinterpret_cast<ResumeObject*>(self); }

void end(ResumeObject* self) {
  std::exchange(self->call, nullptr)->release();
  // One slow callback must not delay the answers before it.
  if (auto& outbox = net::Outbox::mine(); !outbox.empty())
    outbox.flush_if_late(net::Reactor::clock());
}

PySendResult outcome(ResumeObject* self, CoroutineCall::Progress progress, PyObject** result) {
  switch (progress) {
    case CoroutineCall::Progress::yielded:
      return PYGEN_NEXT;
    case CoroutineCall::Progress::finished:
      end(self);
      *result = Py_NewRef(Py_None);
      return PYGEN_RETURN;
    case CoroutineCall::Progress::cancelled: {
      Ref cancelled = take_raised();
      end(self);
      raise(std::move(cancelled));
      break;
    }
  }
  *result = nullptr;
  return PYGEN_ERROR;
}

PySendResult send(PyObject* o, PyObject* value, PyObject** result) {
  auto* const self = resume_of(o);
  if (self->first) {
    *result = std::exchange(self->first, nullptr);
    return PYGEN_NEXT;
  }
  if (!self->call) {
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
  }
  *result = nullptr;
  return outcome(self, self->call->send(value, result), result);
}

// The task was cancelled before it had seen the first yield. As it would have done itself, it
// passes that on to what the coroutine waits for, and goes on waiting if that can be cancelled.
bool cancel_first(ResumeObject* self, PyObject* exception) {
  if (!is_cancellation(exception)) return false;
  Ref const cancel(PyObject_GetAttrString(self->first, "cancel"));
  Ref const message(PyObject_GetAttrString(exception, "args"));  // that of task.cancel(), or empty
  if (!cancel || !message) return false;
  Ref const accepted(PyObject_CallObject(cancel.get(), message.get()));
  return accepted && PyObject_IsTrue(accepted.get()) == 1;
}

PySendResult throw_in(ResumeObject* self, PyObject* exception, PyObject** result) {
  if (self->first) {
    if (cancel_first(self, exception)) {
      *result = std::exchange(self->first, nullptr);
      return PYGEN_NEXT;
    }
    PyErr_Clear();
    Py_CLEAR(self->first);
  }
  *result = nullptr;
  if (!self->call) {
    raise(Ref::borrow(exception));
    return PYGEN_ERROR;
  }
  return outcome(self, self->call->throw_in(exception, result), result);
}

// throw(exception) as tasks call it, and the older throw(type, value, traceback).
PyObject* throw_method(PyObject* o, PyObject* const* arguments, Py_ssize_t count) {
  if (count < 1) {
    PyErr_SetString(PyExc_TypeError, "throw() takes an exception");
    return nullptr;
  }
  auto* const given = count > 1 && arguments[1] != Py_None ? arguments[1] : arguments[0];
  Ref const exception(PyExceptionInstance_Check(given) ? Py_NewRef(given)
                                                       : PyObject_CallNoArgs(given));
  if (!exception) return nullptr;
  PyObject* result = nullptr;
  auto const status = throw_in(resume_of(o), exception.get(), &result);
  return as_generator_result(status, result);
}

PyObject* send_method(PyObject* o, PyObject* value) {
  PyObject* result = nullptr;
  auto const status = send(o, value, &result);
  return as_generator_result(status, result);
}

PyObject* next_method(PyObject* o) { return send_method(o, Py_None); }

PyObject* close(PyObject* o, PyObject*) {
  auto const* self = resume_of(o);
  if (!self->call || !self->call->coroutine()) Py_RETURN_NONE;
  return PyObject_CallMethod(self->call->coroutine(), "close", nullptr);
}

// Debuggers and asyncio's own messages ask for a coroutine's frame, code and name.
PyObject* get_attribute(PyObject* o, PyObject* name) {
  auto* const own = PyObject_GenericGetAttr(o, name);
  auto const* self = resume_of(o);
  if (own || !PyErr_ExceptionMatches(PyExc_AttributeError) || !self->call ||
      !self->call->coroutine())
    return own;
  PyErr_Clear();
  return PyObject_GetAttr(self->call->coroutine(), name);
}

void destroy(PyObject* o) {
  Py_XDECREF(resume_of(o)->first);
  free_instance(o);
}

PyMethodDef methods[] = {
    {"send", send_method, METH_O, nullptr},
    {"throw", as_method(throw_method), METH_FASTCALL, nullptr},
    {"close", close, METH_NOARGS, nullptr},
    {},
};
}  // namespace

PyTypeObject* make_resume_type() {
  PyType_Slot slots[] = {slot(Py_tp_doc, "A handler's coroutine, as its task steps it."),
                         slot(Py_tp_dealloc, destroy),
                         slot(Py_tp_getattro, get_attribute),
                         slot(Py_tp_methods, methods),
                         slot(Py_am_await, PyObject_SelfIter),
                         slot<PySendResult(PyObject*, PyObject*, PyObject**)>(Py_am_send, send),
                         slot(Py_tp_iter, PyObject_SelfIter),
                         slot(Py_tp_iternext, next_method),
                         {}};
  return make_type<ResumeObject>("millrace._core.Resume", Py_TPFLAGS_DISALLOW_INSTANTIATION, slots);
}

PyObject* new_resume(CoroutineCall& call) {
  auto* const resume = PyObject_New(ResumeObject, interpreter_state().types.resume);
  if (!resume) return nullptr;
  resume->call = &call;
  resume->first = nullptr;
  return as_object(resume);
}

void set_first_yield(PyObject* resume, PyObject* yielded) {
  if (yielded == Py_None) {
    // A bare yield asks for the next turn: that is when the task's first step comes anyway.
    Py_DECREF(yielded);
  } else {
    resume_of(resume)->first = yielded;
  }
}

void detach_resume(PyObject* resume) { resume_of(resume)->call = nullptr; }

}  // namespace millrace::python
