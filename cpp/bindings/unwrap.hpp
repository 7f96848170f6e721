// Where a Result becomes a value or an exception, for functions that Python calls. GIL held.
#pragma once
#include <pybind11/pybind11.h>

#include <utility>

#include "python_calls/host_module.hpp"

#include "millrace/base/error.hpp"

namespace millrace::bindings {

[[noreturn]] inline void throw_error(const base::Error& error) {
  python::raise_error(error);
  throw pybind11::error_already_set();
}

// A call of the C API has left its exception.
inline void raise_unless(bool succeeded) {
  if (!succeeded) throw pybind11::error_already_set();
}

// What returned no error may have left a Python exception.
template <class T>
T checked(T value) {
  raise_unless(!PyErr_Occurred());
  return value;
}

inline void unwrap(const base::Status& status) {
  if (!status) throw_error(status.error());
}

template <class T>
T unwrap(base::Result<T> result) {
  if (!result) throw_error(result.error());
  return std::move(*result);
}

}  // namespace millrace::bindings
