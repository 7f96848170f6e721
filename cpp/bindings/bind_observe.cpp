#include "bind_observe.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "millrace/observe/stage_report.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

using observe::Histogram;
using observe::JourneySnapshot;
using observe::StageSnapshot;

using Row = std::tuple<base::Duration, base::Duration, std::uint64_t>;

std::vector<Row> rows_of(const Histogram& histogram) {
  auto const buckets = histogram.buckets();
  std::vector<Row> rows(buckets.size());
  std::transform(buckets.begin(), buckets.end(), rows.begin(), [](auto const& one) {
    return Row{one.lowest, one.highest, one.count};
  });
  return rows;
}

}  // namespace

void bind_observe(py::module_& module) {
  using namespace py::literals;

  py::class_<Histogram>(module, "Histogram")
      .def(py::init<>())
      .def("record", &Histogram::record, "nanoseconds"_a, "count"_a = 1)
      .def("add", &Histogram::add, "other"_a)
      .def_property_readonly("count", &Histogram::count)
      .def_property_readonly("min", &Histogram::min)
      .def_property_readonly("max", &Histogram::max)
      .def_property_readonly("mean", &Histogram::mean)
      .def("percentile", &Histogram::percentile, "percent"_a)
      .def("count_above", &Histogram::count_above, "nanoseconds"_a)
      .def("buckets", &rows_of)
      .def("to_hdr", [](const Histogram& histogram) { return py::bytes(histogram.encode_hdr()); });

  // What a snapshot hands out lives as long as the snapshot: def_readonly sees to that.
  py::class_<StageSnapshot>(module, "StageSnapshot")
      .def(py::init<>())
      .def_readonly("name", &StageSnapshot::name)
      .def_readonly("meaning", &StageSnapshot::meaning)
      .def_readonly("histogram", &StageSnapshot::histogram);

  py::class_<JourneySnapshot>(module, "JourneySnapshot")
      .def(py::init<>())
      .def_readonly("enabled", &JourneySnapshot::enabled)
      .def_readonly("requests", &JourneySnapshot::requests)
      .def_readonly("stages", &JourneySnapshot::stages);
}

}  // namespace millrace::bindings
