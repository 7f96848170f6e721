// millrace.Response: an answer as a handler writes it down.
#pragma once
#include "headers.hpp"
#include "ref.hpp"

namespace millrace::python {

struct ResponseObject {
  PyObject_HEAD PyObject* body;
  HeadersObject* headers;  // null until asked for, or given
  PyObject* content_type;
  PyObject* background;
  PyObject* trailers;  // a mapping, or None
  int status;
};

PyTypeObject* make_response_type();

// What a handler returned, as a Response: str, bytes, dict, list, iterators become its body, None a
// 204. New reference; null and TypeError for what is no answer.
PyObject* as_response(PyObject* result);

// Whether the value stands for bytes that come piece by piece.
bool is_async_chunks(PyObject* body);
bool is_chunks(PyObject* body);

// Raises TypeError: such a value is no answer.
void refuse_answer(PyObject* result);

}  // namespace millrace::python
