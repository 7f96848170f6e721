#include "response.hpp"

#include <cstddef>

#include "heap_type.hpp"
#include "in_host.hpp"
#include "interpreter_state.hpp"

namespace millrace::python {
namespace {

ResponseObject* response_of(PyObject* self) { return reinterpret_cast<ResponseObject*>(self); }

enum Argument : std::size_t {
  body,
  status,
  headers,
  content_type,
  background,
  trailers,
  argument_count
};

bool assign_keyword(PyObject* (&into)[argument_count], PyObject* name, PyObject* value) {
  auto const& known = interpreter_state().names.response_arguments;
  for (std::size_t i = 0; i < argument_count; ++i) {
    if (name != known[i] && PyUnicode_Compare(name, known[i]) != 0) continue;
    if (into[i]) {
      PyErr_Format(PyExc_TypeError, "Response() got the argument '%U' twice", name);
      return false;
    }
    into[i] = value;
    return true;
  }
  PyErr_Format(PyExc_TypeError, "Response() got an unexpected keyword argument '%U'", name);
  return false;
}

int status_from(PyObject* value) {
  auto const number = PyLong_AsLong(value);  // http.HTTPStatus is an int
  if (number == -1 && PyErr_Occurred()) return -1;
  if (number >= 200 && number <= 999) return static_cast<int>(number);
  PyErr_Format(PyExc_ValueError, "status=%ld: a response has a status from 200 to 999", number);
  return -1;
}

bool check_content_type(PyObject* value) {
  if (value == Py_None || PyUnicode_Check(value)) return true;
  PyErr_Format(PyExc_TypeError, "content_type is a str or None, not %.100s",
               Py_TYPE(value)->tp_name);
  return false;
}

bool fill(ResponseObject* self, PyObject* const (&given)[argument_count]) {
  auto const or_none = [&](Argument i) { return Py_NewRef(given[i] ? given[i] : Py_None); };
  int const number = given[status] ? status_from(given[status]) : 200;
  if (number < 0 || (given[content_type] && !check_content_type(given[content_type]))) return false;
  if (given[headers] && given[headers] != Py_None) {
    Ref const own(as_object(new_headers()));
    if (!own || !extend_headers(reinterpret_cast<HeadersObject*>(own.get()), given[headers]))
      return false;
    Ref const old(as_object(
        std::exchange(self->headers, reinterpret_cast<HeadersObject*>(Py_NewRef(own.get())))));
  }
  self->status = number;
  Py_XSETREF(self->body,
             given[body] ? Py_NewRef(given[body]) : PyBytes_FromStringAndSize(nullptr, 0));
  Py_XSETREF(self->content_type, or_none(content_type));
  Py_XSETREF(self->background, or_none(background));
  Py_XSETREF(self->trailers, or_none(trailers));
  return true;
}

ResponseObject* allocate() {
  auto* const self = PyObject_GC_New(ResponseObject, interpreter_state().types.response);
  if (!self) return nullptr;
  self->body = self->content_type = self->background = self->trailers = nullptr;
  self->headers = nullptr;
  self->status = 200;
  return self;
}

// Response(...) itself; heirs take the way of make() and initialise().
PyObject* call(PyObject*, PyObject* const* arguments, size_t flags, PyObject* names) {
  auto const positional = PyVectorcall_NARGS(flags);
  if (positional > 1) {
    PyErr_SetString(PyExc_TypeError, "Response() takes its body by position, all else by name");
    return nullptr;
  }
  PyObject* given[argument_count] = {};
  if (positional) given[body] = arguments[0];
  for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); ++i)
    if (!assign_keyword(given, PyTuple_GET_ITEM(names, i), arguments[positional + i]))
      return nullptr;
  auto* const self = allocate();
  if (!self) return nullptr;
  if (!fill(self, given)) {
    Py_DECREF(self);
    return nullptr;
  }
  PyObject_GC_Track(self);
  return as_object(self);
}

PyObject* make(PyTypeObject* type, PyObject*, PyObject*) {
  auto* const self = type->tp_alloc(type, 0);  // zeroed
  if (!self) return nullptr;
  response_of(self)->body = PyBytes_FromStringAndSize(nullptr, 0);
  response_of(self)->content_type = Py_NewRef(Py_None);
  response_of(self)->background = Py_NewRef(Py_None);
  response_of(self)->trailers = Py_NewRef(Py_None);
  response_of(self)->status = 200;
  return self;
}

int initialise(PyObject* self, PyObject* arguments, PyObject* keywords) {
  PyObject* given[argument_count] = {};
  if (PyTuple_GET_SIZE(arguments) > 1) {
    PyErr_SetString(PyExc_TypeError, "Response() takes its body by position, all else by name");
    return -1;
  }
  if (PyTuple_GET_SIZE(arguments)) given[body] = PyTuple_GET_ITEM(arguments, 0);
  Py_ssize_t at = 0;
  PyObject *name = nullptr, *value = nullptr;
  while (keywords && PyDict_Next(keywords, &at, &name, &value))
    if (!assign_keyword(given, name, value)) return -1;
  return fill(response_of(self), given) ? 0 : -1;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  auto* const r = response_of(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(r->body);
  Py_VISIT(r->headers);
  Py_VISIT(r->background);
  Py_VISIT(r->trailers);
  return 0;
}

int clear(PyObject* self) {
  auto* const r = response_of(self);
  Py_CLEAR(r->body);
  Py_CLEAR(r->headers);
  Py_CLEAR(r->content_type);
  Py_CLEAR(r->background);
  Py_CLEAR(r->trailers);
  return 0;
}

void destroy(PyObject* self) {
  PyObject_GC_UnTrack(self);
  clear(self);
  free_instance(self);
}

// --- attributes

PyObject* get_headers(PyObject* self, void*) {
  auto* const r = response_of(self);
  if (!r->headers) r->headers = new_headers();
  return Py_XNewRef(as_object(r->headers));
}

int set_headers(PyObject* self, PyObject* value, void*) {
  Ref own(as_object(new_headers()));
  if (!own || !extend_headers(reinterpret_cast<HeadersObject*>(own.get()), value ? value : Py_None))
    return -1;
  Ref const old(as_object(
      std::exchange(response_of(self)->headers, reinterpret_cast<HeadersObject*>(own.release()))));
  return 0;
}

PyObject* get_status(PyObject* self, void*) { return PyLong_FromLong(response_of(self)->status); }

bool is_deletion(PyObject* value) {
  if (!value) PyErr_SetString(PyExc_AttributeError, "a response's attributes cannot be deleted");
  return !value;
}

int set_status(PyObject* self, PyObject* value, void*) {
  if (is_deletion(value)) return -1;
  int const number = status_from(value);
  if (number < 0) return -1;
  response_of(self)->status = number;
  return 0;
}

PyObject* get_content_type(PyObject* self, void*) {
  return Py_NewRef(response_of(self)->content_type);
}

int set_content_type(PyObject* self, PyObject* value, void*) {
  if (is_deletion(value) || !check_content_type(value)) return -1;
  Py_XSETREF(response_of(self)->content_type, Py_NewRef(value));
  return 0;
}

template <PyObject* ResponseObject::*member>
PyObject* get_member(PyObject* self, void*) {
  auto* const value = response_of(self)->*member;
  return Py_NewRef(value ? value : Py_None);
}

template <PyObject* ResponseObject::*member>
int set_member(PyObject* self, PyObject* value, void*) {
  if (is_deletion(value)) return -1;
  Ref const old(std::exchange(response_of(self)->*member, Py_NewRef(value)));
  return 0;
}

PyObject* represent(PyObject* self) {
  auto* const r = response_of(self);
  return PyUnicode_FromFormat("<Response %d, %.100s>", r->status,
                              r->body ? Py_TYPE(r->body)->tp_name : "no body");
}

PyGetSetDef attributes[] = {
    {"status", get_status, set_status, "The status code.", nullptr},
    {"headers", get_headers, set_headers, "Its fields, a Headers.", nullptr},
    {"body", get_member<&ResponseObject::body>, set_member<&ResponseObject::body>,
     "str, bytes-like, dict or list (JSON), an iterator or an async iterator of str or bytes.",
     nullptr},
    {"content_type", get_content_type, set_content_type, "None: what fits the body.", nullptr},
    {"background", get_member<&ResponseObject::background>, set_member<&ResponseObject::background>,
     "Work for after the answer.", nullptr},
    {"trailers", get_member<&ResponseObject::trailers>, set_member<&ResponseObject::trailers>,
     "Fields behind a body in pieces: names, and values or functions that give them.", nullptr},
    {},
};

constexpr char set_cookie_in_host[] = "response_set_cookie";
constexpr char delete_cookie_in_host[] = "response_delete_cookie";
constexpr char server_timing_in_host[] = "response_server_timing";

PyMethodDef methods[] = {
    {"set_cookie", as_method(call_in_host<set_cookie_in_host>), METH_FASTCALL | METH_KEYWORDS,
     "set_cookie(name, value='', *, ...): adds a Set-Cookie field (RFC 6265bis)."},
    {"delete_cookie", as_method(call_in_host<delete_cookie_in_host>), METH_FASTCALL | METH_KEYWORDS,
     "delete_cookie(name, *, ...): adds a Set-Cookie field that is over already."},
    {"server_timing", as_method(call_in_host<server_timing_in_host>), METH_FASTCALL | METH_KEYWORDS,
     "server_timing(name, seconds=None, description=None): adds a Server-Timing field."},
    {},
};

PyObject* respond_with(PyObject* body_object, int status_code) {
  auto* const self = allocate();
  if (!self) return nullptr;
  self->body = Py_NewRef(body_object);
  self->content_type = Py_NewRef(Py_None);
  self->background = Py_NewRef(Py_None);
  self->trailers = Py_NewRef(Py_None);
  self->status = status_code;
  PyObject_GC_Track(self);
  return as_object(self);
}

}  // namespace

PyTypeObject* make_response_type() {
  PyType_Slot slots[] = {slot(Py_tp_doc,
                              "Response(body=b'', *, status=200, headers=None, content_type=None, "
                              "background=None, trailers=None)\n--\n\nAn answer."),
                         slot(Py_tp_new, make),
                         slot(Py_tp_init, initialise),
                         slot(Py_tp_traverse, traverse),
                         slot(Py_tp_clear, clear),
                         slot(Py_tp_dealloc, destroy),
                         slot(Py_tp_getset, attributes),
                         slot(Py_tp_methods, methods),
                         slot(Py_tp_repr, represent),
                         {}};
  auto* const type = make_type<ResponseObject>("millrace._core.Response",
                                               Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots);
  if (type) type->tp_vectorcall = call;  // has no slot before Python 3.14
  return type;
}

bool is_async_chunks(PyObject* value) {
  auto* const async = Py_TYPE(value)->tp_as_async;
  return async && async->am_aiter;
}

bool is_chunks(PyObject* value) { return PyIter_Check(value) && !PyCoro_CheckExact(value); }

void refuse_answer(PyObject* result) {
  char const* hint = PyCoro_CheckExact(result)
                         ? " (a coroutine: write the handler with `async def`)"
                     : PyTuple_CheckExact(result) ? " (for a status, return a Response)"
                                                  : "";
  PyErr_Format(
      PyExc_TypeError,
      "a handler returns str, bytes, dict, list, None, an iterator or a Response, not %.200s%s",
      Py_TYPE(result)->tp_name, hint);
}

PyObject* as_response(PyObject* result) {
  if (PyObject_TypeCheck(result, interpreter_state().types.response)) return Py_NewRef(result);
  if (result == Py_None) {
    Ref const empty(PyBytes_FromStringAndSize(nullptr, 0));
    return respond_with(empty.get(), 204);
  }
  if (PyUnicode_Check(result) || PyBytes_Check(result) || PyDict_Check(result) ||
      PyList_Check(result) || PyByteArray_Check(result) || PyMemoryView_Check(result) ||
      is_async_chunks(result) || is_chunks(result))
    return respond_with(result, 200);
  refuse_answer(result);
  return nullptr;
}

}  // namespace millrace::python
