// An owned reference to a Python object, and the few calls that differ between Python versions.
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string_view>
#include <utility>

namespace millrace::python {

// Owns one reference; may be empty. Destroyed and assigned with the GIL held only.
class Ref {
 public:
  Ref() = default;
  // Takes over the reference that `object` stands for ("new reference" in Python's manual).
  explicit Ref(PyObject* object) : object_(object) {}
  static Ref borrow(PyObject* object) { return Ref(Py_XNewRef(object)); }
  Ref(const Ref& other) : object_(Py_XNewRef(other.object_)) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() { Py_XDECREF(object_); }

  PyObject* get() const { return object_; }
  PyObject* release() { return std::exchange(object_, nullptr); }
  void reset() { Py_CLEAR(object_); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  PyObject* object_ = nullptr;
};

// The exception that is being raised, no longer raised. Empty if there was none.
inline Ref take_raised() {
#if PY_VERSION_HEX >= 0x030C0000
  return Ref(PyErr_GetRaisedException());
#else
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  if (!type) return {};
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback) PyException_SetTraceback(value, traceback);
  Py_DECREF(type);
  Py_XDECREF(traceback);
  return Ref(value);
#endif
}

inline void raise(Ref exception) {
#if PY_VERSION_HEX >= 0x030C0000
  PyErr_SetRaisedException(exception.release());
#else
  auto* const value = exception.release();
  PyErr_Restore(Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(value))), value,
                PyException_GetTraceback(value));
#endif
}

// Bytes of requests as Python sees them: UTF-8, and what is not lone surrogates (PEP 383).
inline PyObject* to_str(std::string_view text) {
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape");
}
inline PyObject* latin1_to_str(std::string_view text) {
  return PyUnicode_DecodeLatin1(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr);
}
inline PyObject* to_bytes(std::string_view text) {
  return PyBytes_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
}

// A view of a str's UTF-8, which lives as long as the str; data() is null, and an exception raised,
// where it has none (lone surrogates).
inline std::string_view utf8_of(PyObject* str) {
  if (PyUnicode_IS_COMPACT_ASCII(str))
    return {reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(str)),
            static_cast<std::size_t>(PyUnicode_GET_LENGTH(str))};
  Py_ssize_t size = 0;
  auto const* text = PyUnicode_AsUTF8AndSize(str, &size);
  return {text, text ? static_cast<std::size_t>(size) : 0};
}

// Calls with one argument, without building a tuple.
inline PyObject* call_one(PyObject* callable, PyObject* argument) {
  PyObject* arguments[] = {nullptr, argument};
  return PyObject_Vectorcall(callable, arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
}

// A method table's entry for a METH_FASTCALL function, whose type the table does not know.
template <class Function>
PyCFunction as_method(Function function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

template <class T>
PyObject* as_object(T* object) {
  return reinterpret_cast<PyObject*>(object);
}

}  // namespace millrace::python
