#include "bind_interpreter.hpp"

#include <pybind11/stl.h>

#include "python_calls/interpreter.hpp"
#include "unwrap.hpp"

namespace py = pybind11;

namespace millrace::bindings {

using python::Interpreter;

void bind_interpreter(py::module_& module) {
  using namespace py::literals;
  py::class_<Interpreter>(module, "Interpreter")
      .def(py::init([](std::vector<std::string> path) {
             return unwrap(Interpreter::make(std::move(path)));
           }),
           "path"_a)
      .def(
          "call",
          [](Interpreter& one, std::string module_name, std::string function, py::bytes argument) {
            return py::reinterpret_steal<py::bytes>(checked(
                one.call(std::move(module_name), std::move(function), std::string(argument))));
          },
          "module"_a, "function"_a, "argument"_a)
      .def("end", &Interpreter::end);
}

}  // namespace millrace::bindings
