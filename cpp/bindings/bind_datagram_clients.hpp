// UDP clients.
#pragma once
#include <pybind11/pybind11.h>

namespace millrace::bindings {

void bind_datagram_clients(pybind11::module_& module);

}  // namespace millrace::bindings
