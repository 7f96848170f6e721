#include "context.hpp"

namespace millrace::python {
RequestContext::RequestContext(InterpreterState& python)
    : python_(python), context_(std::exchange(python.spare_context, nullptr)) {
  if (!context_) context_ = PyContext_New();
  if (!context_) Py_FatalError("out of memory");
  PyContext_Enter(context_);
}

void RequestContext::leave() {
  if (std::exchange(is_entered_, false)) PyContext_Exit(context_);
}

RequestContext::~RequestContext() {
  leave();
  auto& spare = python_.spare_context;
  // One that nobody has kept or changed is as good as new.
  if (Py_REFCNT(context_) == 1 && !spare && PyObject_Size(context_) == 0) {
    spare = context_;
  } else {
    Py_DECREF(context_);
  }
}

}  // namespace millrace::python
