// How the Python half of the bridge sends a streamed answer.
#pragma once
#include "ref.hpp"

namespace millrace::python {

class CoroutineCall;

// write(chunk) -> bool, False: await room() before the next.
PyTypeObject* make_answer_writer_type();
PyObject* new_answer_writer(CoroutineCall& call);
// The answer is over.
void detach_writer(PyObject* writer);

}  // namespace millrace::python
