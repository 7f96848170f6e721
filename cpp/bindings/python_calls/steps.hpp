// Awaitables written in C++: from one step's outcome to what Python's protocols expect.
#pragma once
#include "ref.hpp"

namespace millrace::python {

// A step's outcome as __next__ and send() give it: what was yielded, or StopIteration with the
// value. Takes the reference.
inline PyObject* as_generator_result(PySendResult status, PyObject* result) {
  if (status != PYGEN_RETURN) return result;
  Ref const value(result);
  if (value.get() == Py_None) {
    PyErr_SetNone(PyExc_StopIteration);
    return nullptr;
  }
  // An instance of our own: raised by value, a tuple would be taken apart.
  Ref const stop(call_one(PyExc_StopIteration, value.get()));
  if (stop) PyErr_SetObject(PyExc_StopIteration, stop.get());
  return nullptr;
}

// The opposite, for what a coroutine's throw() gave.
inline PySendResult as_step(PyObject*& result) {
  if (result) return PYGEN_NEXT;
  if (!PyErr_ExceptionMatches(PyExc_StopIteration)) return PYGEN_ERROR;
  Ref const stop = take_raised();
  result = PyObject_GetAttrString(stop.get(), "value");
  return result ? PYGEN_RETURN : PYGEN_ERROR;
}

}  // namespace millrace::python
