// The types of this folder that Python knows by name.
#pragma once
#include "ref.hpp"

namespace millrace::python {

// Makes them ready and adds them to the module. False and an exception raised where that fails.
bool add_types(PyObject* module);

}  // namespace millrace::python
