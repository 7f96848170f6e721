#include "bind_forms.hpp"

#include "forms.hpp"
#include "python_calls/request.hpp"

#include "millrace/server/file_writer.hpp"

namespace py = pybind11;

namespace millrace::bindings {

using forms::FormLimits;
using server::BodySink;
using server::FileWriter;
using server::FormReader;

void bind_forms(py::module_& module) {
  py::class_<FormLimits>(module, "FormLimits")
      .def(py::init<>())
      .def_readwrite("parts", &FormLimits::parts)
      .def_readwrite("part_head_bytes", &FormLimits::part_head_bytes)
      .def_readwrite("name_bytes", &FormLimits::name_bytes)
      .def_readwrite("field_bytes", &FormLimits::field_bytes)
      .def_readwrite("memory_bytes", &FormLimits::memory_bytes)
      .def_readwrite("spool_bytes", &FormLimits::spool_bytes)
      .def_readwrite("disk_bytes", &FormLimits::disk_bytes)
      .def_readwrite("total_bytes", &FormLimits::total_bytes)
      .def_readwrite("pairs", &FormLimits::pairs)
      .def_readwrite("urlencoded_bytes", &FormLimits::urlencoded_bytes);

  py::class_<BodySink>(module, "BodySink");
  py::class_<FormReader, BodySink>(module, "FormReader")
      .def(py::init([](const std::string& content_type, const FormLimits& limits,
                       const std::string& folder) {
             return unwrap(FormReader::make(content_type, limits, folder));
           }),
           py::arg("content_type"), py::arg("limits"), py::arg("folder"))
      .def("entries", entries_of)
      .def("take_descriptor", [](FormReader& reader) { return reader.take_spool().release(); });
  py::class_<FileWriter, BodySink>(module, "FileWriter")
      .def(py::init<int, std::uint64_t>(), py::arg("descriptor"), py::arg("most_bytes"))
      .def_property_readonly("size", &FileWriter::size);
  module.def(
      "read_into",
      [](const py::object& request, const py::object& sink) {
        auto* const read = python::new_read_into(request.ptr(), sink.ptr(), sink.cast<BodySink&>());
        raise_unless(read != nullptr);
        return py::reinterpret_steal<py::object>(read);
      },
      py::arg("request"), py::arg("sink"));

  py::class_<PartsReader>(module, "PartsReader")
      .def(py::init(&parts_reader), py::arg("content_type"), py::arg("limits"))
      .def("put", put, py::arg("piece"))
      .def("next", next_of)
      .def("finish", [](const PartsReader& reader) { unwrap(reader.parser.finish()); });
}

}  // namespace millrace::bindings
