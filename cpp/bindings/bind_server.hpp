// Servers: millrace._core.Limits, ServerOptions, Route, AppHooks and Server.
#pragma once
#include <pybind11/pybind11.h>

namespace millrace::bindings {

void bind_server(pybind11::module_& module);

}  // namespace millrace::bindings
