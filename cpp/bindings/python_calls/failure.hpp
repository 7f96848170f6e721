// What becomes of an exception that a handler raised.
#pragma once
#include "request.hpp"

#include "millrace/conn/exchange.hpp"
#include "millrace/trace/counters.hpp"

namespace millrace::python {

// Asks the application's on_exception for an answer to the exception being raised. New reference,
// possibly to an awaitable; null, and an exception raised, where it has none.
PyObject* rescue(RequestObject* request);
// Whether an exception is the engine's word for a connection that ended, or a peer that broke a
// rule.
bool is_of_a_connection(PyObject* exception);
// Writes the one log line with its traceback, unless the peer is to blame. The exception is no
// longer raised. Returns the status to answer with.
std::uint16_t report(RequestObject* request);
// Adds one on the exchange's loop. Any thread.
void count(conn::Exchange& exchange, trace::Counter trace::LoopCounters::*counter);
inline void count_failure(conn::Exchange& exchange) {
  count(exchange, &trace::LoopCounters::requests_failed);
}
// Starts work for after the answer; a failure to do so is logged.
void start_background(const Route& route, PyObject* background);

}  // namespace millrace::python
