// The engine's failures: millrace._core.error_codes().
#pragma once
#include <pybind11/pybind11.h>

namespace millrace::bindings {

void bind_errors(pybind11::module_& module);

}  // namespace millrace::bindings
