#include "context.hpp"

namespace millrace::python {
namespace {

// One that nobody has kept or changed is as good as new. Shared by all threads: the GIL is what
// guards it.
PyObject* spare = nullptr;

}  // namespace

RequestContext::RequestContext() : context_(std::exchange(spare, nullptr)) {
  if (!context_) context_ = PyContext_New();
  if (!context_) Py_FatalError("out of memory");
  PyContext_Enter(context_);
}

void RequestContext::leave() {
  if (std::exchange(is_entered_, false)) PyContext_Exit(context_);
}

RequestContext::~RequestContext() {
  leave();
  if (Py_REFCNT(context_) == 1 && !spare && PyObject_Size(context_) == 0) {
    spare = context_;
  } else {
    Py_DECREF(context_);
  }
}

}  // namespace millrace::python
