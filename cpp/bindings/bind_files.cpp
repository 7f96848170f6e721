#include "bind_files.hpp"

#include <pybind11/stl.h>

#include "unwrap.hpp"

#include "millrace/server/static_files.hpp"

namespace py = pybind11;

namespace millrace::bindings {

using server::StaticFilesOptions;

void bind_files(py::module_& module) {
  py::class_<StaticFilesOptions>(module, "StaticFiles")
      .def(py::init<>())
      .def_readwrite("directory", &StaticFilesOptions::directory)
      .def_readwrite("index", &StaticFilesOptions::index)
      .def_readwrite("fallback", &StaticFilesOptions::fallback)
      .def_readwrite("precompressed", &StaticFilesOptions::precompressed)
      .def_readwrite("dot_files", &StaticFilesOptions::dot_files)
      .def_readwrite("cache_control", &StaticFilesOptions::cache_control)
      .def_readwrite("media_types", &StaticFilesOptions::media_types);
}

std::unique_ptr<server::Handler> make_static_handler(py::handle target) {
  return unwrap(server::StaticFiles::make(target.cast<const StaticFilesOptions&>()));
}

}  // namespace millrace::bindings
