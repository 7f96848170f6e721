// Where the time goes: millrace._core.Histogram, StageSnapshot, JourneySnapshot.
#pragma once
#include <pybind11/pybind11.h>

namespace millrace::bindings {

void bind_observe(pybind11::module_& module);

}  // namespace millrace::bindings
