// Requests and answers: millrace._core.Request, RequestHeaders, Headers, Response and what belongs
// to them.
#pragma once
#include <pybind11/pybind11.h>

namespace millrace::bindings {

void bind_http(pybind11::module_& module);

}  // namespace millrace::bindings
