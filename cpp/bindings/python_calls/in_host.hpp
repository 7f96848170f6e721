// Methods of our classes that are easier said in Python.
#pragma once
#include <vector>

#include "host_module.hpp"

namespace millrace::python {

// METH_FASTCALL | METH_KEYWORDS: object.method(...) is millrace._host.NAME(object, ...).
template <const char* name>
PyObject* call_in_host(PyObject* self, PyObject* const* arguments, Py_ssize_t size,
                       PyObject* names) {
  auto* const function = host_function(name);
  if (!function) return nullptr;
  std::vector<PyObject*> all{self};
  all.insert(all.end(), arguments, arguments + size + (names ? PyTuple_GET_SIZE(names) : 0));
  return PyObject_Vectorcall(function, all.data(), static_cast<std::size_t>(size) + 1, names);
}

}  // namespace millrace::python
