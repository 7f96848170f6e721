// UDP servers and their options.
#pragma once
#include <pybind11/pybind11.h>

namespace millrace::bindings {

void bind_datagrams(pybind11::module_& module);

}  // namespace millrace::bindings
