#include "bind_http.hpp"

#include <string>

#include "python_calls/json.hpp"
#include "python_calls/response.hpp"
#include "python_calls/types.hpp"
#include "unwrap.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

PyObject* encode_json(PyObject*, PyObject* value) {
  std::string text;
  return python::append_json(text, value) ? python::to_bytes(text) : nullptr;
}

PyObject* as_response(PyObject*, PyObject* result) { return python::as_response(result); }

// Called for every request, so not through pybind11.
PyMethodDef functions[] = {
    {"as_response", as_response, METH_O,
     PyDoc_STR("as_response(result, /)\n--\n\nWhat a handler returned, as a Response.")},
    {"encode_json", encode_json, METH_O,
     PyDoc_STR("encode_json(value, /)\n--\n\nA value as JSON, in bytes.")},
    {},
};

}  // namespace

void bind_http(py::module_& module) {
  raise_unless(python::add_types(module.ptr()) &&
               PyModule_AddFunctions(module.ptr(), functions) == 0);
}

}  // namespace millrace::bindings
