// Handlers with a known price, for experiments: millrace._core.NativeWork and the route kind
// "work".
#pragma once
#include <pybind11/pybind11.h>

#include <memory>

#include "millrace/server/handler.hpp"

namespace millrace::bindings {

void bind_work(pybind11::module_& module);

// The handler of a route of kind "work"; `target` is a NativeWork. GIL held.
std::unique_ptr<server::Handler> make_work_handler(pybind11::handle target);

}  // namespace millrace::bindings
