#include "bind_metrics.hpp"

#include <pybind11/stl.h>

#include "metric_rows.hpp"

#include "millrace/observe/request_recorder.hpp"

namespace py = pybind11;

namespace millrace::bindings {

void bind_metrics(py::module_& module) {
  using namespace py::literals;
  using observe::RecorderOptions;

  py::class_<RecorderOptions>(module, "RecorderOptions")
      .def(py::init<>())
      .def_readwrite("metrics", &RecorderOptions::metrics)
      .def_readwrite("max_series", &RecorderOptions::max_series);

  module.def("merge_metrics", &merge_rows, "several"_a);
  module.def(
      "render_metrics",
      [](const MetricRows& rows) { return observe::render_prometheus(metrics_of(rows)); },
      "metrics"_a);
}

}  // namespace millrace::bindings
