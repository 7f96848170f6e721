#include "answer_writer.hpp"

#include "coroutine_call.hpp"
#include "heap_type.hpp"
#include "interpreter_state.hpp"

namespace millrace::python {
namespace {

struct WriterObject {
  PyObject_HEAD CoroutineCall* call;  // null once the answer is over
};

CoroutineCall* call_of(PyObject* self) {
  auto* const call = reinterpret_cast<WriterObject*>(self)->call;
  if (!call) PyErr_SetString(PyExc_RuntimeError, "the answer is over");
  return call;
}

PyObject* write(PyObject* self, PyObject* chunk) {
  auto* const call = call_of(self);
  int const outcome = call ? call->write(chunk) : -1;
  return outcome < 0 ? nullptr : PyBool_FromLong(outcome);
}

PyObject* room(PyObject* self, PyObject*) {
  auto* const call = call_of(self);
  return call ? call->wait_for_room() : nullptr;
}

PyMethodDef methods[] = {
    {"write", write, METH_O, "Sends a piece; False: await room() before the next."},
    {"room", room, METH_NOARGS, "A future for when there is room again."},
    {},
};

}  // namespace

PyTypeObject* make_answer_writer_type() {
  PyType_Slot slots[] = {slot(Py_tp_doc, "Sends a streamed answer, piece by piece."),
                         slot(Py_tp_dealloc, free_instance),
                         slot(Py_tp_methods, methods),
                         {}};
  return make_type<WriterObject>("millrace._core.AnswerWriter", Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                 slots);
}

PyObject* new_answer_writer(CoroutineCall& call) {
  auto* const writer = PyObject_New(WriterObject, interpreter_state().types.answer_writer);
  if (writer) writer->call = &call;
  return as_object(writer);
}

void detach_writer(PyObject* writer) { reinterpret_cast<WriterObject*>(writer)->call = nullptr; }

}  // namespace millrace::python
