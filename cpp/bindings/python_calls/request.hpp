// millrace.Request: a thin Python object over an exchange.
#pragma once
#include <memory>

#include "ref.hpp"
#include "route.hpp"

#include "millrace/conn/exchange.hpp"
#include "millrace/server/body_sink.hpp"

namespace millrace::python {

class CoroutineCall;

// What a request that outlives its exchange takes along.
struct KeptRequest {
  http::Head head;
  std::string body;
  net::Endpoint client;
  bool is_secure = false;
  bool is_gone = false;
  http::Fields trailers;
};

// Reads the exchange while that is being handled, then what was kept of it. Used with the GIL held
// only.
struct RequestObject {
  PyObject_HEAD conn::Exchange* exchange;  // null once the answer is on its way
  CoroutineCall* call;  // null in plain functions, and once the answer is on its way
  const Route* route;   // while there is an exchange
  KeptRequest* kept;
  PyObject *app, *path_params, *query_params, *trace, *state,
      *body;  // made when asked for; app: kept ones only
  PyObject* cookies;
  PyObject* form;      // what request.form() has read, for who asks again
  bool body_is_whole;  // it was buffered before the handler was called, or has been read since
};

PyTypeObject* make_request_type();
PyTypeObject* make_request_headers_type();

// A request object for a handler's call. Objects that nobody kept are used again. Null: no memory.
RequestObject* make_request(conn::Exchange& exchange, const Route& route, CoroutineCall* call);
// The handler is done with the exchange: recycles the object, or, where Python has kept it, lets it
// take over the head and what else it may still be asked for. Steals the reference.
void leave_request(RequestObject* request);

const http::Head& head_of(const RequestObject* request);
PyObject* new_request_headers(RequestObject* request);

// request.cookies, request.trailers and request.early_hints(); see request_words.cpp.
PyObject* make_cookies(RequestObject* request);
PyObject* make_trailers(RequestObject* request);
PyObject* early_hints(PyObject* request, PyObject* fields);

// request.read() and request.stream(); see request_body.cpp.
PyTypeObject* make_body_read_type();
PyTypeObject* make_body_stream_type();
PyObject* new_body_read(RequestObject* request);
PyObject* new_body_stream(RequestObject* request);
// Awaitable: the body has gone into the sink, which `sink_owner` keeps. Of a body that is whole it
// is over with its first step. Null and TypeError where `request` is none.
PyObject* new_read_into(PyObject* request, PyObject* sink_owner, server::BodySink& sink);

}  // namespace millrace::python
