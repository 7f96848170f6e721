// Python's half of the bridge, millrace/_host.py: looked up by name when it is first needed.
#pragma once
#include <string_view>

#include "ref.hpp"

#include "millrace/base/error.hpp"

namespace millrace::python {

// Its attributes, imported once. Null and an exception raised where the import fails. Borrowed.
PyObject* host_function(const char* name);
// Calls one of its functions. New reference, or null and an exception raised.
template <class... Arguments>
PyObject* call_host(const char* name, Arguments*... arguments) {
  auto* const function = host_function(name);
  if (!function) return nullptr;
  return PyObject_CallFunctionObjArgs(function, arguments..., nullptr);
}

// Raises the class of millrace.errors for it.
void raise_error(const base::Error& error);

}  // namespace millrace::python
