#include "failure.hpp"

#include "host_module.hpp"

namespace millrace::python {
namespace {

// The engine's own exceptions name what went wrong; null for others.
const base::ErrcRow* engine_failure(PyObject* exception) {
  if (!PyObject_HasAttrString(exception, "code") ||
      !PyObject_HasAttrString(exception, "safe_to_retry"))
    return nullptr;
  Ref const code(PyObject_GetAttrString(exception, "code"));
  if (!code || !PyUnicode_Check(code.get())) {
    PyErr_Clear();
    return nullptr;
  }
  for (auto const& row : base::error_table())
    if (PyUnicode_CompareWithASCIIString(code.get(), std::string(row.name).c_str()) == 0)
      return &row;
  return nullptr;
}

}  // namespace

PyObject* rescue(RequestObject* request) {
  auto* const hook = request->route->application->on_exception.get();
  if (hook == Py_None) return nullptr;
  Ref const exception(take_raised());
  Ref const traceback(PyException_GetTraceback(exception.get()));
  PyObject* arguments[] = {nullptr, as_object(request), exception.get()};
  if (auto* const answer =
          PyObject_Vectorcall(hook, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr))
    return answer;
  Ref raised(take_raised());
  // Raised again, but without the frames of the hook: these hold the exception, and what the
  // handler had, such as a file on a full disk, would stay until the garbage collector comes by.
  if (raised.get() == exception.get())
    PyException_SetTraceback(raised.get(), traceback ? traceback.get() : Py_None);
  raise(std::move(raised));
  return nullptr;
}

bool is_of_a_connection(PyObject* exception) {
  auto const* const failure = engine_failure(exception);
  return failure && (failure->fault == base::Fault::peer || failure->fault == base::Fault::network);
}

std::uint16_t report(RequestObject* request) {
  Ref const exception(take_raised());
  auto const* const failure = engine_failure(exception.get());
  // Where the peer did it, the status says so and nobody is to be told.
  if (failure && failure->fault == base::Fault::peer) return http::status_for(failure->code);
  Ref const pattern(to_str(request->route->pattern));
  Ref const logged(call_host("log_failure", as_object(request), pattern.get(), exception.get()));
  if (!logged) PyErr_WriteUnraisable(request->route->target.get());
  bool const is_full = failure && failure->code == base::Errc::disk_full;
  return http::status_for(is_full ? failure->code : base::Errc::invalid_message);
}

void count(conn::Exchange& exchange, trace::Counter trace::LoopCounters::*counter) {
  auto& home = exchange.home();
  if (home.in_thread()) {
    (home.counters().*counter).add();
  } else {
    home.post([&home, counter] { (home.counters().*counter).add(); });  // it has one writer
  }
}

void start_background(const Route& route, PyObject* background) {
  auto* const hook = route.application->on_background.get();
  if (hook == Py_None) return;
  if (Ref const started(call_one(hook, background)); started) return;
  Ref const exception(take_raised());
  Ref const pattern(to_str(route.pattern));
  Ref const logged(call_host("log_background_failure", pattern.get(), exception.get()));
  if (!logged) PyErr_WriteUnraisable(hook);
}

}  // namespace millrace::python
