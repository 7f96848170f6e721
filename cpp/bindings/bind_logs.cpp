#include "bind_logs.hpp"

#include "enum_names.hpp"
#include "unwrap.hpp"

#include "millrace/observe/access_log.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

using observe::LineQueue;

constexpr EnumNames<LineQueue::Ended, 4> ends{{{LineQueue::Ended::closed, "closed"},
                                               {LineQueue::Ended::interrupted, "interrupted"},
                                               {LineQueue::Ended::failed, "failed"},
                                               {LineQueue::Ended::recovered, "recovered"}}};

std::string take(LineQueue& lines) {
  py::gil_scoped_release const unlocked;
  return lines.take();
}

LineQueue::Ended write_to(LineQueue& lines, int descriptor) {
  py::gil_scoped_release const unlocked;
  return lines.write_to(descriptor);
}

}  // namespace

void bind_logs(py::module_& module) {
  using namespace py::literals;

  // Shared with the recorders of the loops.
  py::class_<LineQueue, observe::SharedLineQueue>(module, "LineQueue")
      .def(
          py::init([](std::size_t ring_bytes) {
            return std::make_shared<LineQueue>(observe::LineQueueOptions{.ring_bytes = ring_bytes});
          }),
          "ring_bytes"_a)
      .def(
          "write_to",
          [](LineQueue& lines, int descriptor) {
            return name_in(ends, write_to(lines, descriptor));
          },
          "descriptor"_a)
      .def("take", [](LineQueue& lines) { return py::bytes(take(lines)); })
      .def("interrupt", &LineQueue::interrupt)
      .def("close", &LineQueue::close)
      .def_property_readonly("error", &LineQueue::error)
      .def_property_readonly("lines", &LineQueue::lines)
      .def_property_readonly("dropped", &LineQueue::dropped);

  module.def(
      "check_log_format",
      [](std::string_view format) { (void)unwrap(observe::LogFormat::parse(format)); }, "format"_a);
}

}  // namespace millrace::bindings
