#include "call_soon.hpp"

#include <structmember.h>

#include <algorithm>
#include <cstddef>

#include "heap_type.hpp"
#include "host_module.hpp"
#include "interpreter_state.hpp"

namespace millrace::python {
namespace {

// asyncio.Handle's part: what is called, in which context, unless it is cancelled before.
struct HandleObject {
  PyObject_HEAD PyObject* loop;
  PyObject* context;
  PyObject* callback;  // null once it ran or was cancelled
  PyObject* more;      // the arguments behind the first, a tuple; usually null
  PyObject* first;
  PyObject* weak_references;
  bool is_cancelled;
};

HandleObject* handle_of(PyObject* self) { return reinterpret_cast<HandleObject*>(self); }

// Nothing of it is needed any more, and it must keep nobody in a circle.
void forget(HandleObject* self) {
  Py_CLEAR(self->callback);
  Py_CLEAR(self->first);
  Py_CLEAR(self->more);
}

PyObject* call(PyObject* callback, PyObject* first, PyObject* more) {
  if (!more) {
    PyObject* arguments[] = {nullptr, first};
    return PyObject_Vectorcall(callback, arguments + 1,
                               (first ? 1 : 0) | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  }
  Ref const head(PyTuple_Pack(1, first));
  Ref const all(head ? PySequence_Concat(head.get(), more) : nullptr);
  return all ? PyObject_Call(callback, all.get(), nullptr) : nullptr;
}

PyObject* call_in_context(HandleObject* self, PyObject* callback) {
  if (PyContext_Enter(self->context) < 0) return nullptr;
  auto* const result = call(callback, self->first, self->more);
  if (result) {
    PyContext_Exit(self->context);
    return result;
  }
  Ref raised = take_raised();
  PyContext_Exit(self->context);
  raise(std::move(raised));
  return nullptr;
}

PyObject* run(PyObject* o, PyObject*) {
  auto* const self = handle_of(o);
  if (!self->callback) Py_RETURN_NONE;
  Ref const callback = Ref::borrow(self->callback);
  Ref const result(call_in_context(self, callback.get()));
  forget(self);
  if (result) Py_RETURN_NONE;
  if (PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
    return nullptr;
  Ref const exception = take_raised();
  return call_host("callback_failed", self->loop, callback.get(), exception.get(), o);
}

PyObject* cancel(PyObject* o, PyObject*) {
  handle_of(o)->is_cancelled = true;
  forget(handle_of(o));
  Py_RETURN_NONE;
}

PyObject* cancelled(PyObject* o, PyObject*) { return PyBool_FromLong(handle_of(o)->is_cancelled); }
PyObject* get_cancelled(PyObject* o, void*) { return cancelled(o, nullptr); }
PyObject* get_context(PyObject* o, PyObject*) { return Py_NewRef(handle_of(o)->context); }
PyObject* get_callback(PyObject* o, void*) {
  auto* const callback = handle_of(o)->callback;
  return Py_NewRef(callback ? callback : Py_None);
}

void destroy(PyObject* o) {
  auto* const self = handle_of(o);
  if (self->weak_references) PyObject_ClearWeakRefs(o);
  forget(self);
  Py_DECREF(self->context);
  Py_DECREF(self->loop);
  free_instance(o);
}

PyMethodDef handle_methods[] = {
    {"_run", run, METH_NOARGS, nullptr},
    {"cancel", cancel, METH_NOARGS, "Does not call it."},
    {"cancelled", cancelled, METH_NOARGS, "Whether it was cancelled."},
    {"get_context", get_context, METH_NOARGS, "The context it is called in."},
    {},
};
PyMemberDef handle_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(HandleObject, weak_references), READONLY, nullptr},
    {},
};
PyGetSetDef handle_attributes[] = {
    {"_cancelled", get_cancelled, nullptr, nullptr, nullptr},
    {"_callback", get_callback, nullptr, nullptr, nullptr},
    {},
};

// The function's own state.
struct CallSoonObject {
  PyObject_HEAD PyObject* loop;  // borrowed: the loop holds this
  PyObject* append;              // of its queue
};

PyObject* make_handle(PyObject* loop, PyObject* const* arguments, Py_ssize_t count,
                      PyObject* context) {
  auto* const handle = PyObject_New(HandleObject, interpreter_state().types.handle);
  if (!handle) return nullptr;
  handle->loop = Py_NewRef(loop);
  handle->callback = Py_NewRef(arguments[0]);
  handle->first = count > 1 ? Py_NewRef(arguments[1]) : nullptr;
  handle->more = nullptr;
  handle->weak_references = nullptr;
  handle->is_cancelled = false;
  handle->context = context ? Py_NewRef(context) : PyContext_CopyCurrent();
  Ref made(as_object(handle));
  if (count > 2) {
    handle->more = PyTuple_New(count - 2);
    for (Py_ssize_t i = 2; handle->more && i < count; ++i)
      PyTuple_SET_ITEM(handle->more, i - 2, Py_NewRef(arguments[i]));
    if (!handle->more) return nullptr;
  }
  return made.release();
}

// In debug mode the loop's own function keeps tracebacks and checks threads; it also has the
// proper exception for whatever is wrong.
PyObject* leave_to_loop(PyObject* loop, PyObject* const* arguments, Py_ssize_t count,
                        PyObject* names) {
  auto* const function = host_function("call_soon_of_loop");
  if (!function) return nullptr;
  auto const all = count + (names ? PyTuple_GET_SIZE(names) : 0);
  Ref const room(PyTuple_New(all + 1));
  if (!room) return nullptr;
  auto** const items = reinterpret_cast<PyTupleObject*>(room.get())->ob_item;
  items[0] = Py_NewRef(loop);
  for (Py_ssize_t i = 0; i < all; ++i) items[i + 1] = Py_NewRef(arguments[i]);
  return PyObject_Vectorcall(function, items, static_cast<std::size_t>(count + 1), names);
}

PyObject* call_soon(PyObject* o, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
  auto const& python_names = interpreter_state().names;
  auto* const self = reinterpret_cast<CallSoonObject*>(o);
  Ref const is_debug(PyObject_GetAttr(self->loop, python_names.debug));
  Ref const is_closed(PyObject_GetAttr(self->loop, python_names.closed));
  bool const is_usual = is_debug.get() == Py_False && is_closed.get() == Py_False && count > 0;
  auto const keywords = names ? PyTuple_GET_SIZE(names) : 0;
  if (!is_usual || keywords > 1 ||
      (keywords && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "context") != 0)) {
    PyErr_Clear();
    return leave_to_loop(self->loop, arguments, count, names);
  }
  auto* const context = keywords && arguments[count] != Py_None ? arguments[count] : nullptr;
  Ref handle(make_handle(self->loop, arguments, count, context));
  Ref const appended(handle ? call_one(self->append, handle.get()) : nullptr);
  return appended ? handle.release() : nullptr;
}

void destroy_call_soon(PyObject* o) {
  Py_XDECREF(reinterpret_cast<CallSoonObject*>(o)->append);
  free_instance(o);
}

PyMethodDef call_soon_methods[] = {
    {"call_soon", as_method(call_soon), METH_FASTCALL | METH_KEYWORDS, nullptr}, {}};

}  // namespace

PyTypeObject* make_handle_type() {
  PyType_Slot slots[] = {
      slot(Py_tp_doc, "What call_soon() returns."), slot(Py_tp_dealloc, destroy),
      slot(Py_tp_members, handle_members),          slot(Py_tp_methods, handle_methods),
      slot(Py_tp_getset, handle_attributes),        {}};
  return make_type<HandleObject>("millrace._core.Handle", Py_TPFLAGS_DISALLOW_INSTANTIATION, slots);
}

PyTypeObject* make_call_soon_type() {
  PyType_Slot slots[] = {
      slot(Py_tp_dealloc, destroy_call_soon), slot(Py_tp_methods, call_soon_methods), {}};
  return make_type<CallSoonObject>("millrace._core.CallSoon", Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                   slots);
}

PyObject* make_call_soon(PyObject* loop) {
  Ref const ready(PyObject_GetAttrString(loop, "_ready"));
  Ref append(ready ? PyObject_GetAttrString(ready.get(), "append") : nullptr);
  if (!append) return nullptr;
  auto* const state = PyObject_New(CallSoonObject, interpreter_state().types.call_soon);
  if (!state) return nullptr;
  state->loop = loop;
  state->append = append.release();
  Ref const owner(as_object(state));
  return PyObject_GetAttrString(owner.get(), "call_soon");
}

}  // namespace millrace::python
