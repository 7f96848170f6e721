#pragma once
#include <pybind11/pybind11.h>

namespace millrace::bindings {

void bind_forms(pybind11::module_& module);

}  // namespace millrace::bindings
