// Names and lifetimes of what carries log lines.
#pragma once
#include <pybind11/pybind11.h>

namespace millrace::bindings {

void bind_logs(pybind11::module_& module);

}  // namespace millrace::bindings
