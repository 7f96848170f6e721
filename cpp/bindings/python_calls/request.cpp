#include "request.hpp"

#include <charconv>

#include "coroutine_call.hpp"
#include "failure.hpp"
#include "heap_type.hpp"
#include "host_module.hpp"
#include "in_host.hpp"
#include "interpreter_state.hpp"

namespace millrace::python {
namespace {

RequestObject* request_of(PyObject* self) { return reinterpret_cast<RequestObject*>(self); }

// --- values that are made when asked for

PyObject* parameter_value(PathParameter::Kind kind, std::string_view text) {
  switch (kind) {
    case PathParameter::Kind::text:
      break;
    case PathParameter::Kind::integer: {
      long long value = 0;
      if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{})
        return PyLong_FromLongLong(value);  // the router has looked at the digits
      std::string const digits(text);       // ends in a zero byte
      return PyLong_FromString(digits.c_str(), nullptr, 10);
    }
    case PathParameter::Kind::real: {
      std::string const digits(text);
      auto const value = PyOS_string_to_double(digits.c_str(), nullptr, PyExc_OverflowError);
      return value == -1.0 && PyErr_Occurred() ? nullptr : PyFloat_FromDouble(value);
    }
    case PathParameter::Kind::uuid: {
      Ref const hex(to_str(text));
      return hex ? call_host("make_uuid", hex.get()) : nullptr;
    }
  }
  return to_str(text);
}

PyObject* make_path_params(RequestObject* r) {
  Ref params(PyDict_New());
  if (!params || !r->exchange) return params.release();
  auto const* const exchange = r->exchange;
  for (std::size_t i = 0; i < exchange->parameter_count; ++i) {
    auto const& parameter = r->route->parameters[i];
    Ref const value(parameter_value(parameter.kind, exchange->parameters[i].value));
    if (r->exchange != exchange) {  // this is another thread, and the handler answered meanwhile
      PyErr_SetString(PyExc_RuntimeError,
                      "the request was answered while its path_params were being made");
      return nullptr;
    }
    if (!value || PyDict_SetItem(params.get(), parameter.name.get(), value.get()) < 0)
      return nullptr;
  }
  return params.release();
}

PyObject* make_query_params(RequestObject* r) {
  Ref const query(to_str(head_of(r).query()));
  return query ? call_host("make_query_params", query.get()) : nullptr;
}

PyObject* make_trace(RequestObject* r) {
  Ref const headers(new_request_headers(r));
  return headers ? call_host("make_trace", headers.get()) : nullptr;
}

PyObject* make_state(RequestObject*) { return call_host("make_state"); }

PyObject* make_body(RequestObject* r) {
  if (!r->body_is_whole) {
    PyErr_SetString(
        PyExc_RuntimeError,
        "the body has not been read: `await request.read()` first (it streams into coroutines)");
    return nullptr;
  }
  if (!r->exchange) return to_bytes(r->kept->body);
  auto* const bytes = to_bytes(r->exchange->whole_body);
  // A large one need not be held twice.
  if (bytes && r->exchange->whole_body.size() > conn::BodyReader::kept_bytes)
    r->exchange->whole_body = {};
  return bytes;
}

template <PyObject* RequestObject::*member, PyObject* (*make)(RequestObject*)>
PyObject* get_once(PyObject* self, void*) {
  auto* const r = request_of(self);
  if (!(r->*member)) {
    // Making it may run Python code, even other threads: the first one made is everybody's.
    Ref made(make(r));
    if (!made) return nullptr;
    if (!(r->*member)) r->*member = made.release();
  }
  return Py_NewRef(r->*member);
}

// --- attributes

PyObject* get_method(PyObject* self, void*) {
  auto const& head = head_of(request_of(self));
  if (head.method() == http::Method::other) return to_str(head.method_text());
  auto const& names = interpreter_state().names.methods;
  return Py_NewRef(names[static_cast<std::size_t>(head.method())]);
}

template <base::ByteView (http::Head::*part)() const>
PyObject* get_text(PyObject* self, void*) {
  return to_str((head_of(request_of(self)).*part)());
}

PyObject* get_http_version(PyObject* self, void*) {
  auto const& head = head_of(request_of(self));
  if (head.version_major() >= 2) return PyUnicode_FromFormat("%d", head.version_major());
  return PyUnicode_FromFormat("%d.%d", head.version_major(), head.version_minor());
}

PyObject* get_headers(PyObject* self, void*) { return new_request_headers(request_of(self)); }

PyObject* get_client(PyObject* self, void*) {
  auto const* r = request_of(self);
  auto const& client = r->exchange ? r->exchange->client() : r->kept->client;
  if (client.family() == AF_UNIX) Py_RETURN_NONE;
  return Py_BuildValue("(si)", client.host().c_str(), static_cast<int>(client.port()));
}

PyObject* get_scheme(PyObject* self, void*) {
  auto const* r = request_of(self);
  bool const is_secure = r->exchange ? r->exchange->is_secure() : r->kept->is_secure;
  return PyUnicode_InternFromString(is_secure ? "https" : "http");
}

PyObject* get_app(PyObject* self, void*) {
  auto const* r = request_of(self);
  return Py_NewRef(r->exchange ? r->route->application->app.get() : r->app);
}

PyObject* get_is_disconnected(PyObject* self, void*) {
  auto const* r = request_of(self);
  return PyBool_FromLong(r->exchange ? r->exchange->is_gone() : r->kept->is_gone);
}

PyObject* get_body_is_whole(PyObject* self, void*) {
  return PyBool_FromLong(request_of(self)->body_is_whole);
}

PyObject* get_form(PyObject* self, void*) {
  auto* const form = request_of(self)->form;
  return Py_NewRef(form ? form : Py_None);
}

int set_form(PyObject* self, PyObject* value, void*) {
  Ref const old(std::exchange(request_of(self)->form, Py_XNewRef(value)));
  return 0;
}

PyObject* get_form_limits(PyObject* self, void*) {
  auto const* r = request_of(self);
  return Py_NewRef(r->exchange ? r->route->application->form_limits.get() : Py_None);
}

PyObject* get_trailers(PyObject* self, void*) { return make_trailers(request_of(self)); }

PyGetSetDef attributes[] = {
    {"method", get_method, nullptr, "The method, upper case as sent.", nullptr},
    {"path", get_text<&http::Head::path>, nullptr, "The path, percent-decoded and normalised.",
     nullptr},
    {"target", get_text<&http::Head::target>, nullptr, "The request target as it was sent.",
     nullptr},
    {"query_string", get_text<&http::Head::query>, nullptr,
     "What stands behind '?', as it was sent.", nullptr},
    {"http_version", get_http_version, nullptr, "\"1.0\" or \"1.1\".", nullptr},
    {"headers", get_headers, nullptr, "The fields, a RequestHeaders.", nullptr},
    {"path_params", get_once<&RequestObject::path_params, make_path_params>, nullptr,
     "The route's parameters, converted to their types.", nullptr},
    {"query_params", get_once<&RequestObject::query_params, make_query_params>, nullptr,
     "The query, a millrace.http.QueryParams.", nullptr},
    {"cookies", get_once<&RequestObject::cookies, make_cookies>, nullptr,
     "The cookies, a millrace.cookies.Cookies.", nullptr},
    {"trailers", get_trailers, nullptr, "The fields behind the body, which has been read: Headers.",
     nullptr},
    {"trace", get_once<&RequestObject::trace, make_trace>, nullptr,
     "The trace it belongs to, a millrace.trace.TraceContext.", nullptr},
    {"client", get_client, nullptr,
     "Address and port of the client, behind trusted proxies; None on a Unix socket.", nullptr},
    {"scheme", get_scheme, nullptr, "\"http\" or \"https\", as the client came.", nullptr},
    {"body", get_once<&RequestObject::body, make_body>, nullptr,
     "The whole body; a coroutine reads it first.", nullptr},
    {"app", get_app, nullptr, "The application.", nullptr},
    {"state", get_once<&RequestObject::state, make_state>, nullptr,
     "A namespace for middleware and handlers.", nullptr},
    {"_body_is_whole", get_body_is_whole, nullptr, "Whether the body need not be awaited.",
     nullptr},
    {"_form", get_form, set_form, "What form() has read, or None.", nullptr},
    {"_form_limits", get_form_limits, nullptr, "The server's; None once the answer is on its way.",
     nullptr},
    {"is_disconnected", get_is_disconnected, nullptr,
     "Whether the client has left before its answer.", nullptr},
    {},
};

// --- methods

PyObject* content_type(RequestObject* r) {
  auto const found = head_of(r).find(http::FieldId::content_type);
  return found ? latin1_to_str(*found) : Py_NewRef(Py_None);
}

PyObject* text(PyObject* self, PyObject*) {
  Ref const bytes(PyObject_GetAttrString(self, "body"));
  if (!bytes) return nullptr;
  Ref const type(content_type(request_of(self)));
  return type ? call_host("decode_text", bytes.get(), type.get()) : nullptr;
}

PyObject* json(PyObject* self, PyObject*) {
  Ref const bytes(PyObject_GetAttrString(self, "body"));
  return bytes ? call_host("load_json", bytes.get()) : nullptr;
}

PyObject* read(PyObject* self, PyObject*) { return new_body_read(request_of(self)); }
PyObject* stream(PyObject* self, PyObject*) { return new_body_stream(request_of(self)); }

PyObject* count_refusal(PyObject* self, PyObject*) {
  if (auto* const exchange = request_of(self)->exchange)
    count(*exchange, &trace::LoopCounters::protocol_errors);
  Py_RETURN_NONE;
}

constexpr char form_in_host[] = "request_form";
constexpr char parts_in_host[] = "request_parts";
constexpr char save_in_host[] = "request_save";
constexpr char json_lines_in_host[] = "request_json_lines";

PyMethodDef methods[] = {
    {"text", text, METH_NOARGS, "The body as text, in the charset that it declares, else UTF-8."},
    {"json", json, METH_NOARGS, "The body's JSON value."},
    {"read", read, METH_NOARGS, "Awaitable: the whole body."},
    {"stream", stream, METH_NOARGS, "Asynchronous iterator over the body's pieces, as they come."},
    {"form", as_method(call_in_host<form_in_host>), METH_FASTCALL | METH_KEYWORDS,
     "form(*, limits=None): the form that the body is, a FormData; awaited in coroutines."},
    {"save", as_method(call_in_host<save_in_host>), METH_FASTCALL | METH_KEYWORDS,
     "save(path, *, most_bytes='128MB'): awaitable: the body is in the file; its length."},
    {"json_lines", as_method(call_in_host<json_lines_in_host>), METH_FASTCALL | METH_KEYWORDS,
     "json_lines(*, line_bytes='1MB'): iterator over the body's JSON lines; asynchronous too."},
    {"early_hints", early_hints, METH_O,
     "early_hints(fields, /): sends them in a 103 before the answer (RFC 8297)."},
    {"_count_refusal", count_refusal, METH_NOARGS, "Adds one to protocol_errors."},
    {"parts", as_method(call_in_host<parts_in_host>), METH_FASTCALL | METH_KEYWORDS,
     "parts(*, limits=None): asynchronous iterator over a multipart form's parts, as they come."},
    {},
};

// --- life

int traverse(PyObject* self, visitproc visit, void* arg) {
  auto* const r = request_of(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(r->app);
  Py_VISIT(r->path_params);
  Py_VISIT(r->query_params);
  Py_VISIT(r->trace);
  Py_VISIT(r->state);
  Py_VISIT(r->cookies);
  Py_VISIT(r->form);
  return 0;
}

int clear(PyObject* self) {
  auto* const r = request_of(self);
  Py_CLEAR(r->path_params);
  Py_CLEAR(r->query_params);
  Py_CLEAR(r->trace);
  Py_CLEAR(r->state);
  Py_CLEAR(r->body);
  Py_CLEAR(r->cookies);
  Py_CLEAR(r->form);
  return 0;
}

void destroy(PyObject* self) {
  auto* const r = request_of(self);
  PyObject_GC_UnTrack(self);
  clear(self);
  Py_XDECREF(r->app);
  delete r->kept;
  free_instance(self);
}

PyObject* represent(PyObject* self) {
  Ref const method(get_method(self, nullptr)), target(to_str(head_of(request_of(self)).target()));
  return method && target ? PyUnicode_FromFormat("<Request %U %U>", method.get(), target.get())
                          : nullptr;
}

// The exchange is about to be recycled.
void keep(RequestObject* r) {
  auto& exchange = *r->exchange;
  r->app = Py_NewRef(r->route->application->app.get());
  if (!r->path_params && exchange.parameter_count) {
    r->path_params = make_path_params(r);
    if (!r->path_params)
      PyErr_Clear();  // a number too long to convert: asking now raised, asking later gives {}
  }
  r->kept =
      new KeptRequest{{}, {}, exchange.client(), exchange.is_secure(), exchange.is_gone(), {}};
  if (exchange.body.has_ended()) r->kept->trailers = exchange.body.trailers();
  // A copy: those who record the request when its last byte has left still read the other one.
  r->kept->head = exchange.head.copy();
  if (!r->body) r->kept->body = std::move(exchange.whole_body);
}

}  // namespace

PyTypeObject* make_request_type() {
  PyType_Slot slots[] = {
      slot(Py_tp_doc,
           "A request. It may be kept after its answer; then its body can be read no further."),
      slot(Py_tp_dealloc, destroy),
      slot(Py_tp_traverse, traverse),
      slot(Py_tp_clear, clear),
      slot(Py_tp_getset, attributes),
      slot(Py_tp_methods, methods),
      slot(Py_tp_repr, represent),
      {}};
  return make_type<RequestObject>("millrace._core.Request",
                                  Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots);
}

const http::Head& head_of(const RequestObject* request) {
  return request->exchange ? request->exchange->head : request->kept->head;
}

RequestObject* make_request(conn::Exchange& exchange, const Route& route, CoroutineCall* call) {
  auto& python = route.application->python;
  auto* r = python.spare_requests.take();
  if (!r) {
    r = PyObject_GC_New(RequestObject, python.types.request);
    if (!r) return nullptr;
    r->kept = nullptr;
    r->app = r->path_params = r->query_params = r->trace = r->state = r->body = r->cookies =
        r->form = nullptr;
    r->exchange = &exchange;
    PyObject_GC_Track(r);
  }
  r->exchange = &exchange;
  r->call = call;
  r->route = &route;
  r->body_is_whole = !call || !exchange.head.has_body();
  return r;
}

void leave_request(RequestObject* r) {
  if (Py_REFCNT(r) > 1) {
    keep(r);
    r->exchange = nullptr;
    r->call = nullptr;
    r->route = nullptr;
    Py_DECREF(r);
    return;
  }
  if (r->path_params || r->query_params || r->trace || r->state || r->body || r->cookies || r->form)
    clear(as_object(r));
  auto& spare = r->route->application->python.spare_requests;
  r->call = nullptr;
  r->route = nullptr;
  // Clearing may have run code that filled the place.
  r->exchange = nullptr;
  if (!spare.keep(r)) Py_DECREF(r);
}

}  // namespace millrace::python
