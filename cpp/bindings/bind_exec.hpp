// Execution patterns: millrace._core.Recipe and recipes().
#pragma once
#include <pybind11/pybind11.h>

namespace millrace::bindings {

void bind_exec(pybind11::module_& module);

}  // namespace millrace::bindings
