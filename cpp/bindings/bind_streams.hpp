// Plain TCP: servers' options, connections, clients.
#pragma once
#include <pybind11/pybind11.h>

namespace millrace::bindings {

void bind_streams(pybind11::module_& module);

}  // namespace millrace::bindings
