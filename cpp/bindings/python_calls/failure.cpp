#include "failure.hpp"

#include "host_module.hpp"

namespace millrace::python {
namespace {

// The engine's own exceptions name what went wrong. Where the peer did it, the status says so and
// nobody is to be told.
std::optional<std::uint16_t> status_of_peer_fault(PyObject* exception) {
  if (!PyObject_HasAttrString(exception, "code") ||
      !PyObject_HasAttrString(exception, "safe_to_retry"))
    return {};
  Ref const code(PyObject_GetAttrString(exception, "code"));
  if (!code || !PyUnicode_Check(code.get())) {
    PyErr_Clear();
    return {};
  }
  for (auto const& row : base::error_table())
    if (row.fault == base::Fault::peer &&
        PyUnicode_CompareWithASCIIString(code.get(), std::string(row.name).c_str()) == 0)
      return http::status_for(row.code);
  return {};
}

}  // namespace

PyObject* rescue(RequestObject* request) {
  auto* const hook = request->route->application->on_exception.get();
  if (hook == Py_None) return nullptr;
  Ref const exception(take_raised());
  PyObject* arguments[] = {nullptr, as_object(request), exception.get()};
  return PyObject_Vectorcall(hook, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
}

std::uint16_t report(RequestObject* request) {
  Ref const exception(take_raised());
  if (auto const status = status_of_peer_fault(exception.get())) return *status;
  Ref const pattern(to_str(request->route->pattern));
  Ref const logged(call_host("log_failure", as_object(request), pattern.get(), exception.get()));
  if (!logged) PyErr_WriteUnraisable(request->route->target.get());
  return 500;
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
