#include "types.hpp"

#include "answer_writer.hpp"
#include "handler_task.hpp"
#include "headers.hpp"
#include "request.hpp"
#include "response.hpp"

namespace millrace::python {
namespace {

struct AbstractClass {
  PyTypeObject* type;
  const char* name;  // in collections.abc
};

// Python's own code asks for these: asyncio whether it steps a coroutine, users whether headers are
// a mapping.
bool register_as(const AbstractClass& row) {
  Ref const abc(PyImport_ImportModule("collections.abc"));
  Ref const base(abc ? PyObject_GetAttrString(abc.get(), row.name) : nullptr);
  Ref const registered(base ? PyObject_CallMethod(base.get(), "register", "O", row.type) : nullptr);
  return static_cast<bool>(registered);
}

}  // namespace

bool add_types(PyObject* module) {
  for (auto* type : {&headers_type, &response_type, &request_type, &request_headers_type})
    if (PyModule_AddType(module, type) < 0) return false;
  for (auto* type : {&body_read_type, &body_stream_type, &answer_writer_type, &resume_type})
    if (PyType_Ready(type) < 0) return false;
  for (auto const& row :
       {AbstractClass{&request_headers_type, "Mapping"},
        AbstractClass{&headers_type, "MutableMapping"}, AbstractClass{&resume_type, "Coroutine"},
        AbstractClass{&body_read_type, "Awaitable"}})
    if (!register_as(row)) return false;
  return true;
}

}  // namespace millrace::python
