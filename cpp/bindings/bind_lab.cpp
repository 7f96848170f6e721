#include "bind_lab.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "enum_names.hpp"
#include "seconds.hpp"
#include "unwrap.hpp"

#include "millrace/lab/load_run.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

using lab::LoadOptions;
using lab::LoadPace;
using lab::LoadRequest;
using lab::LoadRun;

// Python sees one flat set of options, C++ keeps what belongs together in one struct.
template <auto group, auto field>
void plain(py::class_<LoadOptions>& options, const char* name) {
  options.def_property(
      name, [](const LoadOptions& one) { return (one.*group).*field; },
      [](LoadOptions& one,
         std::decay_t<decltype((std::declval<LoadOptions>().*group).*field)> value) {
        (one.*group).*field = std::move(value);
      });
}

template <auto group, auto field>
void duration(py::class_<LoadOptions>& options, const char* name) {
  options.def_property(
      name, [](const LoadOptions& one) { return seconds((one.*group).*field); },
      [](LoadOptions& one, double value) { (one.*group).*field = nanoseconds(value); });
}

constexpr EnumNames<lab::Spacing, 2> spacings{
    {{lab::Spacing::constant, "constant"}, {lab::Spacing::poisson, "poisson"}}};

std::string_view arrivals_of(const LoadOptions& options) {
  return name_in(spacings, options.pace.spacing);
}
void set_arrivals(LoadOptions& options, std::string_view name) {
  options.pace.spacing = value_in(spacings, name);
}

using Text = std::optional<std::string>;
std::optional<py::bytes> expected_of(const LoadOptions& options) {
  auto const& text = options.request.expect_body;
  return text ? std::optional(py::bytes(*text)) : std::nullopt;
}

std::unique_ptr<LoadRun> make_run(const std::string& url, const LoadOptions& options) {
  auto made = [&] {
    py::gil_scoped_release const released;  // it asks the resolver
    return LoadRun::make(url, options);
  }();
  return unwrap(std::move(made));
}

py::dict as_dict(const lab::LoadProgress& progress) {
  using namespace py::literals;
  return py::dict("elapsed"_a = seconds(progress.elapsed), "requests"_a = progress.requests,
                  "errors"_a = progress.errors, "in_flight"_a = progress.in_flight);
}

py::dict as_dict(const lab::LoadResult& result) {
  using namespace py::literals;
  return py::dict("open_loop"_a = result.is_open_loop, "requests"_a = result.requests,
                  "unsent"_a = result.unsent, "reconnects"_a = result.reconnects,
                  "errors"_a = result.errors, "statuses"_a = result.statuses,
                  "bytes_in"_a = result.bytes_in, "bytes_out"_a = result.bytes_out,
                  "elapsed"_a = seconds(result.elapsed), "cpu"_a = seconds(result.cpu),
                  "latency"_a = result.latency, "intended"_a = result.intended,
                  "connect"_a = result.connect, "ttfb"_a = result.ttfb);
}

void bind_options(py::module_& module) {
  py::class_<LoadOptions> options(module, "LoadOptions");
  options.def(py::init<>())
      .def_readwrite("connections", &LoadOptions::connections)
      .def_readwrite("threads", &LoadOptions::threads)
      .def_property(
          "timeout", [](const LoadOptions& one) { return seconds(one.timeout); },
          [](LoadOptions& one, double value) { one.timeout = nanoseconds(value); })
      .def_property("arrivals", &arrivals_of, &set_arrivals)
      .def_property(
          "body", [](const LoadOptions& one) { return py::bytes(one.request.body); },
          [](LoadOptions& one, std::string value) { one.request.body = std::move(value); })
      .def_property("expect_body", &expected_of, [](LoadOptions& one, Text value) {
        one.request.expect_body = std::move(value);
      });
  plain<&LoadOptions::request, &LoadRequest::method>(options, "method");
  plain<&LoadOptions::request, &LoadRequest::headers>(options, "headers");
  plain<&LoadOptions::pace, &LoadPace::rate>(options, "rate");
  plain<&LoadOptions::pace, &LoadPace::seed>(options, "seed");
  plain<&LoadOptions::pace, &LoadPace::requests>(options, "requests");
  duration<&LoadOptions::pace, &LoadPace::duration>(options, "duration");
  duration<&LoadOptions::pace, &LoadPace::warmup>(options, "warmup");
}

}  // namespace

void bind_lab(py::module_& module) {
  using namespace py::literals;

  bind_options(module);
  py::class_<LoadRun>(module, "LoadRun")
      .def(py::init(&make_run), "url"_a, "options"_a)
      .def("start", [](LoadRun& run) { unwrap(run.start()); })
      .def(
          "wait", [](LoadRun& run, double longest) { return run.wait(nanoseconds(longest)); },
          "seconds"_a, py::call_guard<py::gil_scoped_release>())
      .def("stop", &LoadRun::stop, py::call_guard<py::gil_scoped_release>())
      .def("progress", [](const LoadRun& run) { return as_dict(run.progress()); })
      .def("result", [](const LoadRun& run) { return as_dict(unwrap(run.result())); });
}

}  // namespace millrace::bindings
