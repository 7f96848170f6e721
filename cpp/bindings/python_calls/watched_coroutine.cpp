#include "watched_coroutine.hpp"

#include <new>

#include "calls_now.hpp"
#include "heap_type.hpp"
#include "interpreter_state.hpp"
#include "steps.hpp"

namespace millrace::python {
namespace {

struct WatchedObject {
  PyObject_HEAD PyObject* coroutine;
  const std::string* handler;
  net::Endpoint peer;
  bool has_begun;
};

WatchedObject* watched_of(PyObject* self) { return reinterpret_cast<WatchedObject*>(self); }

PySendResult send(PyObject* o, PyObject* value, PyObject** result) {
  auto* const self = watched_of(o);
  self->has_begun = true;
  InHandler const here(*self->handler, self->peer);
  return PyIter_Send(self->coroutine, value, result);
}

PyObject* send_method(PyObject* o, PyObject* value) {
  PyObject* result = nullptr;
  auto const status = send(o, value, &result);
  return as_generator_result(status, result);
}

PyObject* next_method(PyObject* o) { return send_method(o, Py_None); }

PyObject* throw_method(PyObject* o, PyObject* arguments) {
  auto const* const self = watched_of(o);
  Ref const inner(PyObject_GetAttr(self->coroutine, interpreter_state().names.throw_in));
  if (!inner) return nullptr;
  InHandler const here(*self->handler, self->peer);
  return PyObject_CallObject(inner.get(), arguments);
}

PyObject* close(PyObject* o, PyObject*) {
  return PyObject_CallMethod(watched_of(o)->coroutine, "close", nullptr);
}

// Python warns of coroutines that nobody has begun, but whoever could not has said so already.
void close_quietly(PyObject* o) {
  Ref raised = take_raised();
  Ref const closed(close(o, nullptr));
  if (!closed) PyErr_WriteUnraisable(nullptr);  // it is going
  if (raised) raise(std::move(raised));
}

// Debuggers and asyncio's own messages ask for a coroutine's frame, code and name.
PyObject* get_attribute(PyObject* o, PyObject* name) {
  auto* const own = PyObject_GenericGetAttr(o, name);
  if (own || !PyErr_ExceptionMatches(PyExc_AttributeError)) return own;
  PyErr_Clear();
  return PyObject_GetAttr(watched_of(o)->coroutine, name);
}

int traverse(PyObject* o, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(o));
  Py_VISIT(watched_of(o)->coroutine);
  return 0;
}

void destroy(PyObject* o) {
  PyObject_GC_UnTrack(o);
  auto const* const self = watched_of(o);
  if (!self->has_begun) close_quietly(o);
  Py_DECREF(self->coroutine);
  free_instance(o);
}

PyMethodDef methods[] = {
    {"send", send_method, METH_O, nullptr},
    {"throw", throw_method, METH_VARARGS, nullptr},
    {"close", close, METH_NOARGS, nullptr},
    {},
};

}  // namespace

PyTypeObject* make_watched_coroutine_type() {
  PyType_Slot slots[] = {slot(Py_tp_doc, "A coroutine whose steps are a handler's."),
                         slot(Py_tp_dealloc, destroy),
                         // The coroutine breaks the circles it is in.
                         slot(Py_tp_traverse, traverse),
                         slot(Py_tp_getattro, get_attribute),
                         slot(Py_tp_methods, methods),
                         slot(Py_am_await, PyObject_SelfIter),
                         slot<PySendResult(PyObject*, PyObject*, PyObject**)>(Py_am_send, send),
                         slot(Py_tp_iter, PyObject_SelfIter),
                         slot(Py_tp_iternext, next_method),
                         {}};
  return make_type<WatchedObject>("millrace._core.WatchedCoroutine",
                                  Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots);
}

PyObject* new_watched_coroutine(Ref coroutine, const std::string& handler,
                                const net::Endpoint& peer) {
  auto* const made = PyObject_GC_New(WatchedObject, interpreter_state().types.watched_coroutine);
  if (!made) return nullptr;
  made->coroutine = coroutine.release();
  made->handler = &handler;
  new (&made->peer) net::Endpoint(peer);
  made->has_begun = false;
  PyObject_GC_Track(made);
  return as_object(made);
}

}  // namespace millrace::python
