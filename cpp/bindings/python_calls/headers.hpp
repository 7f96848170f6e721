// millrace.Headers: the mutable, ordered fields of a Response.
#pragma once
#include "ref.hpp"

#include "millrace/proto/http/fields.hpp"

namespace millrace::python {

// Names and values are str. The first few stand inside the object, so that most responses need no
// second allocation.
struct HeadersObject {
  PyObject_HEAD Py_ssize_t size;
  Py_ssize_t capacity;
  PyObject** entries;  // name, value, name, value, ...
  PyObject* few[8];
};

PyTypeObject* make_headers_type();

HeadersObject* new_headers();
// Copies what Headers(...) takes: a mapping, pairs, Headers, None. False and an exception raised
// where it is neither.
bool extend_headers(HeadersObject* headers, PyObject* source);

// Field names as requests and answers compare them.
bool equal_names(std::string_view a, std::string_view b);

// A field's value as the bytes that are sent: ASCII as it is, other characters as Latin-1. `room`
// backs them where they are not the str's own. Null data and an exception raised where a character
// has no such byte.
std::string_view field_bytes(PyObject* str, Ref& room);

}  // namespace millrace::python
