// Other interpreters of this process: millrace._core.Interpreter.
#pragma once
#include <pybind11/pybind11.h>

namespace millrace::bindings {

void bind_interpreter(pybind11::module_& module);

}  // namespace millrace::bindings
