// millrace.RequestHeaders: a request's fields as a read-only mapping, looked up in the bytes that
// came.
#include <algorithm>
#include <vector>

#include "headers.hpp"
#include "heap_type.hpp"
#include "interpreter_state.hpp"
#include "request.hpp"

namespace millrace::python {

struct RequestHeadersObject {
  PyObject_HEAD RequestObject* request;
};

namespace {

const http::Head& fields_of(PyObject* self) {
  return head_of(reinterpret_cast<RequestHeadersObject*>(self)->request);
}

// The value of a name that was asked for, if there is one.
std::optional<base::ByteView> look_up(PyObject* self, PyObject* name) {
  if (!PyUnicode_Check(name)) return {};
  auto const text = utf8_of(name);
  if (!text.data()) {
    PyErr_Clear();
    return {};
  }
  auto const& head = fields_of(self);
  for (std::size_t i = 0; i < head.size(); ++i)
    if (equal_names(head.name(i), text)) return head.value(i);
  return {};
}

PyObject* lower_case_name(const http::Head& head, std::size_t i) {
  std::string name(head.name(i));
  for (auto& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return latin1_to_str(name);
}

bool is_repetition(const http::Head& head, std::size_t i) {
  for (std::size_t earlier = 0; earlier < i; ++earlier)
    if (equal_names(head.name(earlier), head.name(i))) return true;
  return false;
}

template <class Entry>
PyObject* list_of(const http::Head& head, bool distinct, Entry entry) {
  Ref list(PyList_New(0));
  if (!list) return nullptr;
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (distinct && is_repetition(head, i)) continue;
    Ref const item(entry(i));
    if (!item || PyList_Append(list.get(), item.get()) < 0) return nullptr;
  }
  return list.release();
}

PyObject* pair(const http::Head& head, std::size_t i) {
  Ref const name(lower_case_name(head, i)), value(latin1_to_str(head.value(i)));
  return name && value ? PyTuple_Pack(2, name.get(), value.get()) : nullptr;
}

PyObject* keys(PyObject* self, PyObject*) {
  auto const& head = fields_of(self);
  return list_of(head, true, [&](std::size_t i) { return lower_case_name(head, i); });
}
PyObject* values(PyObject* self, PyObject*) {
  auto const& head = fields_of(self);
  return list_of(head, true, [&](std::size_t i) { return latin1_to_str(head.value(i)); });
}
PyObject* items(PyObject* self, PyObject*) {
  auto const& head = fields_of(self);
  return list_of(head, true, [&](std::size_t i) { return pair(head, i); });
}
PyObject* multi_items(PyObject* self, PyObject*) {
  auto const& head = fields_of(self);
  return list_of(head, false, [&](std::size_t i) { return pair(head, i); });
}
PyObject* iterate(PyObject* self) {
  Ref const list(keys(self, nullptr));
  return list ? PyObject_GetIter(list.get()) : nullptr;
}

Py_ssize_t length(PyObject* self) {
  auto const& head = fields_of(self);
  Py_ssize_t count = 0;
  for (std::size_t i = 0; i < head.size(); ++i) count += !is_repetition(head, i);
  return count;
}

PyObject* get_item(PyObject* self, PyObject* name) {
  if (auto const value = look_up(self, name)) return latin1_to_str(*value);
  PyErr_SetObject(PyExc_KeyError, name);
  return nullptr;
}

int contains(PyObject* self, PyObject* name) { return look_up(self, name).has_value(); }

PyObject* get(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  if (count < 1 || count > 2) {
    PyErr_Format(PyExc_TypeError, "RequestHeaders.get() takes 1 to 2 arguments, %zd given", count);
    return nullptr;
  }
  if (auto const value = look_up(self, arguments[0])) return latin1_to_str(*value);
  return Py_NewRef(count > 1 ? arguments[1] : Py_None);
}

PyObject* get_list(PyObject* self, PyObject* name) {
  Ref list(PyList_New(0));
  if (!list || !PyUnicode_Check(name)) return list.release();
  auto const& head = fields_of(self);
  auto const text = utf8_of(name);
  if (!text.data()) PyErr_Clear();
  for (std::size_t i = 0; text.data() && i < head.size(); ++i) {
    if (!equal_names(head.name(i), text)) continue;
    Ref const value(latin1_to_str(head.value(i)));
    if (!value || PyList_Append(list.get(), value.get()) < 0) return nullptr;
  }
  return list.release();
}

PyObject* represent(PyObject* self) {
  Ref const list(multi_items(self, nullptr));
  return list ? PyUnicode_FromFormat("RequestHeaders(%R)", list.get()) : nullptr;
}

void destroy(PyObject* self) {
  auto* const headers = reinterpret_cast<RequestHeadersObject*>(self);
  auto* const request = headers->request;
  auto* const type = Py_TYPE(self);
  auto& python = interpreter_state();
  if (python.is_over || !python.spare_request_headers.keep(headers)) PyObject_Free(self);
  Py_DECREF(type);
  Py_DECREF(request);
}

PyMethodDef methods[] = {
    {"get", as_method(get), METH_FASTCALL,
     "get($self, name, default=None, /)\n--\n\nThe first value of a name."},
    {"get_list", get_list, METH_O, "Every value of a name."},
    {"multi_items", multi_items, METH_NOARGS, "Every name, in lower case, and value, in order."},
    {"keys", keys, METH_NOARGS, "The names, in lower case, each once."},
    {"values", values, METH_NOARGS, "The first value of each name."},
    {"items", items, METH_NOARGS, "Each name, in lower case, with its first value."},
    {},
};
}  // namespace

PyTypeObject* make_request_headers_type() {
  PyType_Slot slots[] = {
      slot(Py_tp_doc,
           "Read-only view of a request's fields; names in any letter case, values decoded as "
           "Latin-1."),
      slot(Py_tp_dealloc, destroy),
      slot(Py_tp_methods, methods),
      slot(Py_mp_length, length),
      slot(Py_mp_subscript, get_item),
      slot(Py_sq_contains, contains),
      slot(Py_tp_iter, iterate),
      slot(Py_tp_repr, represent),
      {}};
  return make_type<RequestHeadersObject>("millrace._core.RequestHeaders",
                                         Py_TPFLAGS_MAPPING | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                         slots);
}

PyObject* new_request_headers(RequestObject* request) {
  auto& python = interpreter_state();
  auto* headers = python.spare_request_headers.take();
  if (headers) {
    PyObject_Init(as_object(headers), python.types.request_headers);
  } else {
    headers = PyObject_New(RequestHeadersObject, python.types.request_headers);
    if (!headers) return nullptr;
  }
  headers->request = reinterpret_cast<RequestObject*>(Py_NewRef(as_object(request)));
  return as_object(headers);
}

}  // namespace millrace::python
