#include "types.hpp"

#include "answer_writer.hpp"
#include "asyncio_host.hpp"
#include "call_soon.hpp"
#include "handler_task.hpp"
#include "headers.hpp"
#include "interpreter_state.hpp"
#include "open_file.hpp"
#include "request.hpp"
#include "response.hpp"
#include "watched_coroutine.hpp"

namespace millrace::python {
namespace {

struct Class {
  PyTypeObject** place;
  PyTypeObject* (*make)();
};

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
  if (!open_interpreter_state()) return false;
  auto& t = interpreter_state().types;
  for (auto const& row :
       {Class{&t.headers, make_headers_type}, Class{&t.response, make_response_type},
        Class{&t.request, make_request_type}, Class{&t.request_headers, make_request_headers_type},
        Class{&t.body_read, make_body_read_type}, Class{&t.body_stream, make_body_stream_type},
        Class{&t.answer_writer, make_answer_writer_type}, Class{&t.resume, make_resume_type},
        Class{&t.turn, make_turn_type}, Class{&t.handle, make_handle_type},
        Class{&t.call_soon, make_call_soon_type}, Class{&t.open_file, make_open_file_type},
        Class{&t.watched_coroutine, make_watched_coroutine_type}}) {
    *row.place = row.make();
    if (!*row.place) return false;
  }
  for (auto* type : {t.headers, t.response, t.request, t.request_headers, t.open_file})
    if (PyModule_AddType(module, type) < 0) return false;
  for (auto const& row :
       {AbstractClass{t.request_headers, "Mapping"}, AbstractClass{t.headers, "MutableMapping"},
        AbstractClass{t.resume, "Coroutine"}, AbstractClass{t.watched_coroutine, "Coroutine"},
        AbstractClass{t.body_read, "Awaitable"}})
    if (!register_as(row)) return false;
  return true;
}

}  // namespace millrace::python
