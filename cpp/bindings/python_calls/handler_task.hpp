// The asyncio.Task of a coroutine handler, which becomes a real one only when somebody needs it.
#pragma once
#include "coroutine_call.hpp"
#include "interpreter_state.hpp"
#include "ref.hpp"

namespace millrace::python {

// Most coroutines finish in their first step. It is taken inside a Task that is allocated, so that
// it is somebody for asyncio.current_task(), but not initialised, which would cost as much as the
// whole request. Whoever touches one of its attributes, keeps it, or makes the coroutine wait gets
// a real Task that carries on. Home of `call`, GIL held.
class FirstStep {
 public:
  FirstStep(CoroutineCall& call, PyObject* context);
  FirstStep(const FirstStep&) = delete;
  FirstStep& operator=(const FirstStep&) = delete;
  ~FirstStep();

  // False and an exception raised where there is no memory for it.
  bool make_real();
  // The coroutine waits: for what it `yielded`, whose reference is taken. Needs a real one.
  void go_on_later(PyObject* yielded);
  // The coroutine is over.
  void finish();

  bool is_of(PyObject* task) const { return task_ == task; }
  FirstStep* outer() const { return outer_; }

 private:
  void leave();

  CoroutineCall& call_;
  InterpreterState& python_;
  PyObject* context_;           // borrowed
  PyObject* task_;              // null where tasks cannot be made this way
  PyObject* resume_ = nullptr;  // of the real task
  Ref task_before_;             // within whose last step this one is taken
  bool is_entered_ = false;
  FirstStep* outer_;
};

// Takes from asyncio what this folder needs of it; false and an exception raised where it is not as
// expected.
bool prepare_tasks();
// Whether the exception being raised is asyncio's CancelledError.
bool is_cancellation(PyObject* exception_or_type);

// What stands in a Task for the handler's coroutine: hands back what the first step yielded, then
// passes everything on.
PyTypeObject* make_resume_type();
PyObject* new_resume(CoroutineCall& call);
// The first yield is still to be handed out. Takes the reference.
void set_first_yield(PyObject* resume, PyObject* yielded);
// Its call is over; the task that steps it ends with the next step.
void detach_resume(PyObject* resume);

}  // namespace millrace::python
