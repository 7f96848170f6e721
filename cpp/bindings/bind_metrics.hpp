// Names and lifetimes of metrics.
#pragma once
#include <pybind11/pybind11.h>

namespace millrace::bindings {

void bind_metrics(pybind11::module_& module);

}  // namespace millrace::bindings
