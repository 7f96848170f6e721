#include "bind_metrics.hpp"

#include <pybind11/stl.h>

#include "metric_rows.hpp"
#include "seconds.hpp"
#include "unwrap.hpp"

#include "millrace/observe/request_recorder.hpp"

namespace py = pybind11;

namespace millrace::bindings {

void bind_metrics(py::module_& module) {
  using namespace py::literals;
  using observe::RecorderOptions;

  py::class_<RecorderOptions>(module, "RecorderOptions")
      .def(py::init<>())
      .def_readwrite("metrics", &RecorderOptions::metrics)
      .def_readwrite("max_series", &RecorderOptions::max_series)
      .def(
          "add_log",
          [](RecorderOptions& options, std::string_view format, observe::SharedLineQueue lines) {
            options.logs.push_back({unwrap(observe::LogFormat::parse(format)), std::move(lines)});
          },
          "format"_a, "lines"_a)
      .def(
          "log_slow",
          [](RecorderOptions& options, double threshold, observe::SharedLineQueue lines) {
            options.slow.threshold = nanoseconds(threshold);
            options.slow.lines = std::move(lines);
          },
          "seconds"_a, "lines"_a);

  module.def("merge_metrics", &merge_rows, "several"_a);
  module.def(
      "render_metrics",
      [](const MetricRows& rows) { return observe::render_prometheus(metrics_of(rows)); },
      "metrics"_a);
}

}  // namespace millrace::bindings
