// Every request has its own contextvars.Context.
#pragma once
#include "interpreter_state.hpp"
#include "ref.hpp"

namespace millrace::python {

// A context, entered while this lives; what a handler sets in it, the next request does not see.
class RequestContext {
 public:
  explicit RequestContext(InterpreterState& python);
  RequestContext(const RequestContext&) = delete;
  RequestContext& operator=(const RequestContext&) = delete;
  ~RequestContext();
  void leave();  // early
  PyObject* get() const { return context_; }

 private:
  InterpreterState& python_;
  PyObject* context_;
  bool is_entered_ = true;
};

// Enters a request's context again.
class Entered {
 public:
  explicit Entered(PyObject* context) : context_(context) { PyContext_Enter(context_); }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;
  ~Entered() { PyContext_Exit(context_); }

 private:
  PyObject* context_;
};

}  // namespace millrace::python
