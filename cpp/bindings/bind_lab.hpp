// The load generator: millrace._core.LoadOptions and LoadRun.
#pragma once
#include <pybind11/pybind11.h>

namespace millrace::bindings {

void bind_lab(pybind11::module_& module);

}  // namespace millrace::bindings
