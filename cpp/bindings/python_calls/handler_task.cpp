#include "handler_task.hpp"

namespace millrace::python {
namespace {

// Whoever looks at a task that is not initialised would look into nothing.
bool make_real_if_needed(PyObject* task) {
  for (auto* step = interpreter_state().innermost_step; step; step = step->outer())
    if (step->is_of(task)) return step->make_real();
  return true;
}

PyObject* get_attribute(PyObject* self, PyObject* name) {
  if (!make_real_if_needed(self)) return nullptr;
  return PyObject_GenericGetAttr(self, name);
}

int set_attribute(PyObject* self, PyObject* name, PyObject* value) {
  if (!make_real_if_needed(self)) return -1;
  return PyObject_GenericSetAttr(self, name, value);
}

PyObject* represent(PyObject* self) {
  if (!make_real_if_needed(self)) return nullptr;
  return interpreter_state().task_type->tp_repr(self);
}

bool has_weak_references(PyObject* task) {
  auto const offset = Py_TYPE(task)->tp_weaklistoffset;
  return offset == 0 ||
         *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(task) + offset) != nullptr;
}

bool initialise(PyObject* task, PyObject* resume, CoroutineCall& call, PyObject* context) {
  Ref const arguments(PyTuple_Pack(1, resume)), keywords(PyDict_New());
  if (!arguments || !keywords) return false;
  auto* const values = keywords.get();
  auto const& python = interpreter_state();
  if (PyDict_SetItem(values, python.names.loop, call.host().loop()) < 0 ||
      PyDict_SetItem(values, python.names.context, context) < 0 ||
      PyDict_SetItem(values, python.names.name, call.route().label.get()) < 0)
    return false;
  return python.task_type->tp_init(task, arguments.get(), values) == 0;
}

}  // namespace

bool is_cancellation(PyObject* exception_or_type) {
  return exception_or_type &&
         PyErr_GivenExceptionMatches(exception_or_type, interpreter_state().cancelled_error);
}

bool prepare_tasks() {
  auto& python = interpreter_state();
  if (python.handler_task_type) return true;
  // asyncio comes first: its C half cannot be imported on its own.
  Ref const asyncio(PyImport_ImportModule("asyncio"));
  Ref const base(asyncio ? PyObject_GetAttrString(asyncio.get(), "Task") : nullptr);
  Ref cancelled(asyncio ? PyObject_GetAttrString(asyncio.get(), "CancelledError") : nullptr);
  if (!base || !cancelled) return false;
  PyType_Slot slots[] = {{Py_tp_getattro, reinterpret_cast<void*>(get_attribute)},
                         {Py_tp_setattro, reinterpret_cast<void*>(set_attribute)},
                         {Py_tp_repr, reinterpret_cast<void*>(represent)},
                         {Py_tp_doc, const_cast<char*>("The task of a request.")},
                         {0, nullptr}};
  PyType_Spec spec{"millrace._core.HandlerTask", 0, 0, Py_TPFLAGS_DEFAULT, slots};
  auto* const made = PyType_FromSpecWithBases(&spec, base.get());
  if (!made) return false;
  python.cancelled_error = cancelled.release();
  python.task_type = reinterpret_cast<PyTypeObject*>(Ref(base).release());
  python.handler_task_type = reinterpret_cast<PyTypeObject*>(made);
  return true;
}

FirstStep::FirstStep(CoroutineCall& call, PyObject* context)
    : call_(call),
      python_(call.route().application->python),
      context_(context),
      task_(std::exchange(python_.spare_task, nullptr)),
      outer_(python_.innermost_step) {
  if (!call.host().has_current_task()) {  // this Python keeps its tasks where we do not know: a
                                          // real one from the start
    std::swap(task_, python_.spare_task);
    return;
  }
  if (!task_) task_ = python_.handler_task_type->tp_alloc(python_.handler_task_type, 0);
  if (!task_ || !call.host().enter_task(task_, task_before_)) {
    PyErr_Clear();
    return;
  }
  is_entered_ = true;
  python_.innermost_step = this;
}

FirstStep::~FirstStep() {
  leave();
  if (task_ && !resume_ && !python_.spare_task && Py_REFCNT(task_) == 1 &&
      !has_weak_references(task_)) {
    python_.spare_task = task_;
  } else {
    Py_XDECREF(task_);
  }
}

void FirstStep::leave() {
  if (!std::exchange(is_entered_, false)) return;
  python_.innermost_step = outer_;
  call_.host().leave_task(std::move(task_before_));
}

bool FirstStep::make_real() {
  if (resume_) return true;
  Ref const resume(new_resume(call_));
  if (!resume) return false;
  if (!task_) task_ = python_.handler_task_type->tp_alloc(python_.handler_task_type, 0);
  if (!task_ || !initialise(task_, resume.get(), call_, context_)) {
    detach_resume(resume.get());
    return false;
  }
  resume_ = resume.get();  // the task holds it
  call_.adopt_task(task_, resume_);
  return true;
}

void FirstStep::go_on_later(PyObject* yielded) {
  leave();
  set_first_yield(resume_, yielded);
}

void FirstStep::finish() {
  leave();
  if (!task_) return;
  // Somebody has kept it, and may look at it at any time.
  if (!resume_ && (Py_REFCNT(task_) > 1 || has_weak_references(task_)) && !make_real())
    PyErr_Clear();
  if (resume_) detach_resume(resume_);
}

}  // namespace millrace::python
