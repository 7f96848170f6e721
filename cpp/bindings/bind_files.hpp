// millrace._core.StaticFiles and the route kind "static".
#pragma once
#include <pybind11/pybind11.h>

#include <memory>

#include "millrace/server/handler.hpp"

namespace millrace::bindings {

void bind_files(pybind11::module_& module);

// The handler of a route of kind "static"; `target` is a StaticFiles. Raises InvalidOption where
// there is no such directory. GIL held.
std::unique_ptr<server::Handler> make_static_handler(pybind11::handle target);

}  // namespace millrace::bindings
