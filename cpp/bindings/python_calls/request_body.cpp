// request.read(), request.stream() and what reads into a sink: awaitables over the exchange's body
// reader.
#include <optional>

#include "coroutine_call.hpp"
#include "failure.hpp"
#include "gil.hpp"
#include "heap_type.hpp"
#include "host_module.hpp"
#include "interpreter_state.hpp"
#include "request.hpp"
#include "steps.hpp"

namespace millrace::python {
namespace {

enum class Want : std::uint8_t { all, piece, in_sink };

struct BodyReadObject {
  PyObject_HEAD RequestObject* request;
  PyObject* waiting;       // a future's iterator, while the body lets us wait
  std::string* collected;  // Want::all
  server::BodySink* sink;  // Want::in_sink
  PyObject* sink_owner;
  Want want;
  bool is_over;
};

struct BodyStreamObject {
  PyObject_HEAD RequestObject* request;
  bool is_over;  // only of bodies that are whole
};

BodyReadObject* read_of(PyObject* self) { return reinterpret_cast<BodyReadObject*>(self); }

BodyReadObject* make_read(RequestObject* request, Want want) {
  auto* const self = PyObject_New(BodyReadObject, interpreter_state().types.body_read);
  if (!self) return nullptr;
  self->request = reinterpret_cast<RequestObject*>(Py_NewRef(as_object(request)));
  self->waiting = nullptr;
  self->collected = want == Want::all ? new std::string : nullptr;
  self->sink = nullptr;
  self->sink_owner = nullptr;
  self->want = want;
  self->is_over = false;
  return self;
}

PySendResult failed(base::Errc code, std::string detail) {
  raise_error(base::Error{code, {}, std::move(detail)});
  return PYGEN_ERROR;
}

PySendResult too_large(std::size_t limit) {
  return failed(base::Errc::body_too_large, "limit " + std::to_string(limit) + " bytes");
}

// A refusal of the sink is raised, and counted like those of the protocol's own parsers.
PySendResult settle_sink(BodyReadObject* self, const base::Status& status) {
  if (status) return PYGEN_NEXT;
  auto const& error = status.error();
  if (error.fault() == base::Fault::peer && self->request->exchange)
    count(*self->request->exchange, &trace::LoopCounters::protocol_errors);
  raise_error(error);
  return PYGEN_ERROR;
}

PySendResult put_in_sink(BodyReadObject* self, base::ByteView bytes) {
  base::Status status;
  {
    std::optional<LockGivenUp> unlocked;
    if (self->sink->may_block()) unlocked.emplace();
    status = self->sink->put(bytes);
  }
  return settle_sink(self, status);
}

PySendResult finish_sink(BodyReadObject* self, PyObject** result) {
  if (auto const outcome = settle_sink(self, self->sink->finish()); outcome != PYGEN_NEXT)
    return outcome;
  *result = Py_NewRef(Py_None);
  return PYGEN_RETURN;
}

// What one look at the reader gave: a piece, its end, or that there is nothing yet.
PySendResult take_piece(BodyReadObject* self, conn::Exchange& exchange,
                        const conn::BodyReader::Piece& piece, PyObject** result) {
  auto const bytes = piece.bytes.view();
  if (!bytes.empty()) {
    if (self->want == Want::piece) {
      *result = to_bytes(bytes);
      exchange.return_credit();
      return *result ? PYGEN_RETURN : PYGEN_ERROR;
    }
    if (self->want == Want::in_sink) {
      auto const outcome = put_in_sink(self, bytes);
      if (outcome == PYGEN_NEXT) exchange.return_credit();
      return outcome;
    }
    self->collected->append(bytes);
    auto const limit = self->request->call->body_limit();
    if (self->collected->size() > limit) return too_large(limit);
    exchange.return_credit();
    return PYGEN_NEXT;
  }
  if (self->want == Want::piece) {
    PyErr_SetNone(PyExc_StopAsyncIteration);
    return PYGEN_ERROR;
  }
  if (self->want == Want::in_sink) return finish_sink(self, result);
  *result = to_bytes(*self->collected);
  if (!*result) return PYGEN_ERROR;
  Py_XSETREF(self->request->body, Py_NewRef(*result));
  self->request->body_is_whole = true;
  return PYGEN_RETURN;
}

base::ByteView whole_body_of(const RequestObject* request) {
  if (request->body)
    return {PyBytes_AS_STRING(request->body),
            static_cast<std::size_t>(PyBytes_GET_SIZE(request->body))};
  return request->exchange ? request->exchange->whole_body : request->kept->body;
}

PySendResult take_whole(BodyReadObject* self, PyObject** result) {
  if (self->want == Want::in_sink) {
    auto const outcome = put_in_sink(self, whole_body_of(self->request));
    return outcome == PYGEN_NEXT ? finish_sink(self, result) : outcome;
  }
  *result = PyObject_GetAttrString(as_object(self->request), "body");
  return *result ? PYGEN_RETURN : PYGEN_ERROR;
}

PySendResult step(BodyReadObject* self, PyObject** result) {
  auto* const request = self->request;
  for (;;) {
    if (request->body_is_whole) return take_whole(self, result);
    if (!request->exchange || !request->call) {
      PyErr_SetString(PyExc_RuntimeError,
                      "the request has been answered: its body can be read no further");
      return PYGEN_ERROR;
    }
    auto& exchange = *request->exchange;
    auto const limit = request->call->body_limit();
    if (self->want == Want::all && exchange.head.content_length().value_or(0) > limit)
      return too_large(limit);
    if (self->want == Want::in_sink) {
      auto const expected = self->sink->expect(exchange.head.content_length().value_or(0));
      if (auto const outcome = settle_sink(self, expected); outcome != PYGEN_NEXT) return outcome;
    }
    request->call->want_body();
    auto piece = exchange.body.read();
    if (!piece) return failed(piece.error().code, piece.error().detail);
    if (!piece->waiting) {
      auto const outcome = take_piece(self, exchange, *piece, result);
      if (outcome == PYGEN_NEXT) continue;
      return outcome;
    }
    Ref const future(request->call->wait_for_body());
    if (!future) return PYGEN_ERROR;
    self->waiting = PyObject_GetIter(future.get());
    if (!self->waiting) return PYGEN_ERROR;
    return PyIter_Send(self->waiting, Py_None,
                       result);  // the future itself, for the task to wait for
  }
}

PySendResult send(PyObject* o, PyObject* value, PyObject** result) {
  auto* const self = read_of(o);
  *result = nullptr;
  if (self->is_over) {
    PyErr_SetString(PyExc_RuntimeError, "this read has been awaited already");
    return PYGEN_ERROR;
  }
  if (self->waiting) {
    auto const status = PyIter_Send(self->waiting, value, result);
    if (status == PYGEN_NEXT) return status;
    Py_CLEAR(self->waiting);
    if (status == PYGEN_ERROR) return status;
    Py_CLEAR(*result);
  }
  auto const status = step(self, result);
  if (status != PYGEN_NEXT) self->is_over = true;
  return status;
}

PyObject* send_method(PyObject* self, PyObject* value) {
  PyObject* result = nullptr;
  auto const status = send(self, value, &result);
  return as_generator_result(status, result);
}

PyObject* next_method(PyObject* self) { return send_method(self, Py_None); }

void destroy_read(PyObject* o) {
  auto* const self = read_of(o);
  Py_XDECREF(self->waiting);
  Py_XDECREF(self->sink_owner);
  delete self->collected;
  Py_DECREF(self->request);
  free_instance(o);
}

// The next piece of a body that is there already: all of it, then nothing.
PyObject* next_of_whole(BodyStreamObject* self) {
  Ref const bytes(PyObject_GetAttrString(as_object(self->request), "body"));
  if (!bytes) return nullptr;
  bool const is_over = std::exchange(self->is_over, true) || PyBytes_GET_SIZE(bytes.get()) == 0;
  return call_host(is_over ? "stop_iteration" : "immediately", bytes.get());
}

PyObject* next_piece(PyObject* o) {
  auto* const self = reinterpret_cast<BodyStreamObject*>(o);
  if (self->request->body_is_whole) return next_of_whole(self);
  return as_object(make_read(self->request, Want::piece));
}

void destroy_stream(PyObject* self) {
  Py_DECREF(reinterpret_cast<BodyStreamObject*>(self)->request);
  free_instance(self);
}

PyMethodDef read_methods[] = {{"send", send_method, METH_O, nullptr}, {}};
}  // namespace

PyTypeObject* make_body_read_type() {
  PyType_Slot slots[] = {slot(Py_tp_doc, "Awaitable for a request's body, or for its next piece."),
                         slot(Py_tp_dealloc, destroy_read),
                         slot(Py_tp_methods, read_methods),
                         slot(Py_am_await, PyObject_SelfIter),
                         slot<PySendResult(PyObject*, PyObject*, PyObject**)>(Py_am_send, send),
                         slot(Py_tp_iter, PyObject_SelfIter),
                         slot(Py_tp_iternext, next_method),
                         {}};
  return make_type<BodyReadObject>("millrace._core.BodyRead", Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                   slots);
}

PyTypeObject* make_body_stream_type() {
  PyType_Slot slots[] = {slot(Py_tp_doc, "A request's body, piece by piece."),
                         slot(Py_tp_dealloc, destroy_stream),
                         slot(Py_am_aiter, PyObject_SelfIter),
                         slot(Py_am_anext, next_piece),
                         {}};
  return make_type<BodyStreamObject>("millrace._core.BodyStream", Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                     slots);
}

PyObject* new_body_read(RequestObject* request) { return as_object(make_read(request, Want::all)); }

PyObject* new_read_into(PyObject* request, PyObject* sink_owner, server::BodySink& sink) {
  if (!PyObject_TypeCheck(request, interpreter_state().types.request)) {
    PyErr_SetString(PyExc_TypeError, "a body is read from a Request");
    return nullptr;
  }
  auto* const read = make_read(reinterpret_cast<RequestObject*>(request), Want::in_sink);
  if (!read) return nullptr;
  read->sink = &sink;
  read->sink_owner = Py_NewRef(sink_owner);
  return as_object(read);
}

PyObject* new_body_stream(RequestObject* request) {
  auto* const self = PyObject_New(BodyStreamObject, interpreter_state().types.body_stream);
  if (!self) return nullptr;
  self->request = reinterpret_cast<RequestObject*>(Py_NewRef(as_object(request)));
  self->is_over = false;
  return as_object(self);
}

}  // namespace millrace::python
