#include "headers.hpp"

#include <algorithm>

#include "heap_type.hpp"
#include "interpreter_state.hpp"

namespace millrace::python {
namespace {

HeadersObject* headers_of(PyObject* self) { return reinterpret_cast<HeadersObject*>(self); }
PyObject*& name_at(HeadersObject* headers, Py_ssize_t i) { return headers->entries[2 * i]; }
PyObject*& value_at(HeadersObject* headers, Py_ssize_t i) { return headers->entries[2 * i + 1]; }

bool is_str(PyObject* object, const char* what) {
  if (PyUnicode_Check(object)) return true;
  PyErr_Format(PyExc_TypeError, "a header's %s is a str, not %.100s", what,
               Py_TYPE(object)->tp_name);
  return false;
}

bool add(HeadersObject* headers, PyObject* name, PyObject* value) {
  if (!is_str(name, "name") || !is_str(value, "value")) return false;
  if (headers->size == headers->capacity) {
    auto const capacity = headers->capacity * 2;
    auto* const inside = headers->few;
    auto* const outside = headers->entries == inside ? nullptr : headers->entries;
    auto* const grown = static_cast<PyObject**>(
        PyMem_Realloc(outside, static_cast<std::size_t>(2 * capacity) * sizeof(PyObject*)));
    if (!grown) {
      PyErr_NoMemory();
      return false;
    }
    if (!outside) std::copy_n(inside, 2 * headers->size, grown);
    headers->entries = grown;
    headers->capacity = capacity;
  }
  name_at(headers, headers->size) = Py_NewRef(name);
  value_at(headers, headers->size) = Py_NewRef(value);
  ++headers->size;
  return true;
}

void remove_at(HeadersObject* headers, Py_ssize_t i) {
  Ref const name(name_at(headers, i)), value(value_at(headers, i));
  std::copy(headers->entries + 2 * (i + 1), headers->entries + 2 * headers->size,
            headers->entries + 2 * i);
  --headers->size;
}

void clear(HeadersObject* headers) {
  while (headers->size) remove_at(headers, headers->size - 1);
}

// The first entry of that name at or behind `from`; -1: none.
Py_ssize_t find(HeadersObject* headers, std::string_view name, Py_ssize_t from = 0) {
  for (auto i = from; i < headers->size; ++i)
    if (equal_names(utf8_of(name_at(headers, i)), name)) return i;
  return -1;
}

// The text of a name that was asked for; null data, without exception, where nothing can have it.
std::string_view asked_name(PyObject* name) {
  if (!PyUnicode_Check(name)) return {};
  auto const text = utf8_of(name);
  if (!text.data()) PyErr_Clear();
  return text;
}

PyObject* missing(PyObject* name) {
  PyErr_SetObject(PyExc_KeyError, name);
  return nullptr;
}

// --- the mapping

Py_ssize_t length(PyObject* self) { return headers_of(self)->size; }

PyObject* get_item(PyObject* self, PyObject* name) {
  auto const text = asked_name(name);
  auto const i = text.data() ? find(headers_of(self), text) : -1;
  return i < 0 ? missing(name) : Py_NewRef(value_at(headers_of(self), i));
}

int set_item(PyObject* self, PyObject* name, PyObject* value) {
  auto* const headers = headers_of(self);
  if (!is_str(name, "name") || (value && !is_str(value, "value"))) return -1;
  auto const text = asked_name(name);
  auto const first = text.data() ? find(headers, text) : -1;
  if (first < 0) {
    if (value) return add(headers, name, value) ? 0 : -1;
    missing(name);
    return -1;
  }
  for (auto i = find(headers, text, first + 1); i >= 0; i = find(headers, text, i))
    remove_at(headers, i);
  if (value) {
    Ref const old(std::exchange(value_at(headers, first), Py_NewRef(value)));
  } else {
    remove_at(headers, first);
  }
  return 0;
}

int contains(PyObject* self, PyObject* name) {
  auto const text = asked_name(name);
  return text.data() && find(headers_of(self), text) >= 0;
}

PyObject* list_of(PyObject* self, PyObject* (*entry)(PyObject* name, PyObject* value)) {
  auto* const headers = headers_of(self);
  Ref list(PyList_New(0));
  if (!list) return nullptr;
  for (Py_ssize_t i = 0; i < headers->size; ++i) {
    Ref const item(entry(name_at(headers, i), value_at(headers, i)));
    if (!item || PyList_Append(list.get(), item.get()) < 0) return nullptr;
  }
  return list.release();
}
PyObject* keys(PyObject* self, PyObject*) {
  return list_of(self, [](PyObject* name, PyObject*) { return Py_NewRef(name); });
}
PyObject* values(PyObject* self, PyObject*) {
  return list_of(self, [](PyObject*, PyObject* value) { return Py_NewRef(value); });
}
PyObject* items(PyObject* self, PyObject*) {
  return list_of(self,
                 [](PyObject* name, PyObject* value) { return PyTuple_Pack(2, name, value); });
}
PyObject* iterate(PyObject* self) {
  Ref const list(keys(self, nullptr));
  return list ? PyObject_GetIter(list.get()) : nullptr;
}

// --- methods

bool takes(Py_ssize_t given, Py_ssize_t least, Py_ssize_t most, const char* name) {
  if (given >= least && given <= most) return true;
  PyErr_Format(PyExc_TypeError, "Headers.%s() takes %zd to %zd arguments, %zd given", name, least,
               most, given);
  return false;
}

PyObject* get(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  if (!takes(count, 1, 2, "get")) return nullptr;
  auto const text = asked_name(arguments[0]);
  auto const i = text.data() ? find(headers_of(self), text) : -1;
  if (i >= 0) return Py_NewRef(value_at(headers_of(self), i));
  return Py_NewRef(count > 1 ? arguments[1] : Py_None);
}

PyObject* add_method(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  if (!takes(count, 2, 2, "add") || !add(headers_of(self), arguments[0], arguments[1]))
    return nullptr;
  Py_RETURN_NONE;
}

PyObject* setdefault(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  if (!takes(count, 2, 2, "setdefault")) return nullptr;
  auto const text = asked_name(arguments[0]);
  auto const i = text.data() ? find(headers_of(self), text) : -1;
  if (i >= 0) return Py_NewRef(value_at(headers_of(self), i));
  return add(headers_of(self), arguments[0], arguments[1]) ? Py_NewRef(arguments[1]) : nullptr;
}

PyObject* pop(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  if (!takes(count, 1, 2, "pop")) return nullptr;
  Ref value(get_item(self, arguments[0]));
  if (value) return set_item(self, arguments[0], nullptr) < 0 ? nullptr : value.release();
  if (count == 1) return nullptr;
  PyErr_Clear();
  return Py_NewRef(arguments[1]);
}

// As dict.update(): what is there already is replaced.
PyObject* update(PyObject* self, PyObject* source) {
  Ref const others(as_object(new_headers()));
  if (!others || !extend_headers(headers_of(others.get()), source)) return nullptr;
  auto* const from = headers_of(others.get());
  for (Py_ssize_t i = 0; i < from->size; ++i)
    if (set_item(self, name_at(from, i), value_at(from, i)) < 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* get_list(PyObject* self, PyObject* name) {
  auto* const headers = headers_of(self);
  Ref list(PyList_New(0));
  auto const text = asked_name(name);
  if (!list || !text.data()) return list.release();
  for (auto i = find(headers, text); i >= 0; i = find(headers, text, i + 1))
    if (PyList_Append(list.get(), value_at(headers, i)) < 0) return nullptr;
  return list.release();
}

PyObject* represent(PyObject* self) {
  Ref const list(items(self, nullptr));
  return list ? PyUnicode_FromFormat("Headers(%R)", list.get()) : nullptr;
}

// Equal if both hold the same fields in the same order, whatever the names' case.
PyObject* compare(PyObject* self, PyObject* other, int operation) {
  if (!PyObject_TypeCheck(other, interpreter_state().types.headers) ||
      (operation != Py_EQ && operation != Py_NE))
    Py_RETURN_NOTIMPLEMENTED;
  auto *a = headers_of(self), *b = headers_of(other);
  bool equal = a->size == b->size;
  for (Py_ssize_t i = 0; equal && i < a->size; ++i)
    equal = equal_names(utf8_of(name_at(a, i)), utf8_of(name_at(b, i))) &&
            PyUnicode_Compare(value_at(a, i), value_at(b, i)) == 0;
  if (PyErr_Occurred()) return nullptr;
  return PyBool_FromLong(equal == (operation == Py_EQ));
}

// --- life

void prepare(HeadersObject* headers) {
  headers->size = 0;
  headers->capacity = 4;
  headers->entries = headers->few;
}

PyObject* make(PyTypeObject* type, PyObject*, PyObject*) {
  auto* const self = type->tp_alloc(type, 0);
  if (self) prepare(headers_of(self));
  return self;
}

int initialise(PyObject* self, PyObject* arguments, PyObject* keywords) {
  static const char* names[] = {"fields", nullptr};
  PyObject* source = Py_None;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:Headers", const_cast<char**>(names),
                                   &source))
    return -1;
  clear(headers_of(self));
  return extend_headers(headers_of(self), source) ? 0 : -1;
}

void destroy(PyObject* self) {
  auto* const headers = headers_of(self);
  for (Py_ssize_t i = 0; i < 2 * headers->size; ++i) Py_DECREF(headers->entries[i]);
  if (headers->entries != headers->few) PyMem_Free(headers->entries);
  free_instance(self);
}

PyMethodDef methods[] = {
    {"get", as_method(get), METH_FASTCALL,
     "get($self, name, default=None, /)\n--\n\nThe first value of a name."},
    {"add", as_method(add_method), METH_FASTCALL, "Adds a field behind those that are there."},
    {"setdefault", as_method(setdefault), METH_FASTCALL,
     "Adds a field unless one of its name is there; returns its value."},
    {"pop", as_method(pop), METH_FASTCALL, "Removes a name and returns its first value."},
    {"update", update, METH_O, "Sets every field of a mapping or of pairs."},
    {"get_list", get_list, METH_O, "Every value of a name."},
    {"multi_items", items, METH_NOARGS, "Every name and value, in order."},
    {"keys", keys, METH_NOARGS, "Every name, in order."},
    {"values", values, METH_NOARGS, "Every value, in order."},
    {"items", items, METH_NOARGS, "Every name and value, in order."},
    {},
};
bool extend_from_mapping(HeadersObject* headers, PyObject* mapping_object) {
  Ref const pairs(PyMapping_Items(mapping_object));
  if (!pairs) return false;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs.get()); ++i) {
    auto* const pair = PyList_GET_ITEM(pairs.get(), i);
    if (!add(headers, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1))) return false;
  }
  return true;
}

bool extend_from_pairs(HeadersObject* headers, PyObject* pairs) {
  Ref const iterator(PyObject_GetIter(pairs));
  if (!iterator) {
    PyErr_Format(PyExc_TypeError, "headers are a mapping or pairs of str, not %.100s",
                 Py_TYPE(pairs)->tp_name);
    return false;
  }
  while (Ref const item{PyIter_Next(iterator.get())}) {
    Ref const pair(PySequence_Tuple(item.get()));
    if (!pair) return false;
    if (PyUnicode_Check(item.get()) || PyTuple_GET_SIZE(pair.get()) != 2) {
      PyErr_SetString(PyExc_TypeError, "each header is a pair: its name and its value");
      return false;
    }
    if (!add(headers, PyTuple_GET_ITEM(pair.get(), 0), PyTuple_GET_ITEM(pair.get(), 1)))
      return false;
  }
  return !PyErr_Occurred();
}

}  // namespace

PyTypeObject* make_headers_type() {
  PyType_Slot slots[] = {
      slot(Py_tp_doc,
           "Headers(fields=None)\n--\n\nA mutable, ordered list of fields; names in any letter "
           "case."),
      slot(Py_tp_new, make),
      slot(Py_tp_init, initialise),
      slot(Py_tp_dealloc, destroy),
      slot(Py_tp_methods, methods),
      slot(Py_mp_length, length),
      slot(Py_mp_subscript, get_item),
      slot(Py_mp_ass_subscript, set_item),
      slot(Py_sq_contains, contains),
      slot(Py_tp_iter, iterate),
      slot(Py_tp_repr, represent),
      slot(Py_tp_richcompare, compare),
      slot(Py_tp_hash, PyObject_HashNotImplemented),
      {}};
  return make_type<HeadersObject>("millrace._core.Headers",
                                  Py_TPFLAGS_BASETYPE | Py_TPFLAGS_MAPPING, slots);
}

HeadersObject* new_headers() {
  auto* const headers = PyObject_New(HeadersObject, interpreter_state().types.headers);
  if (headers) prepare(headers);
  return headers;
}

bool extend_headers(HeadersObject* headers, PyObject* source) {
  if (source == Py_None) return true;
  if (PyDict_CheckExact(source)) {
    Py_ssize_t at = 0;
    PyObject *name = nullptr, *value = nullptr;
    while (PyDict_Next(source, &at, &name, &value))
      if (!add(headers, name, value)) return false;
    return true;
  }
  if (PyObject_TypeCheck(source, interpreter_state().types.headers)) {
    auto* const from = headers_of(source);
    for (Py_ssize_t i = 0, count = from->size; i < count; ++i)
      if (!add(headers, name_at(from, i), value_at(from, i))) return false;
    return true;
  }
  if (PyObject_HasAttrString(source, "multi_items")) {  // a request's: names may come several times
    Ref const pairs(PyObject_CallMethod(source, "multi_items", nullptr));
    return pairs && extend_from_pairs(headers, pairs.get());
  }
  if (PyObject_HasAttrString(source, "keys")) return extend_from_mapping(headers, source);
  return extend_from_pairs(headers, source);
}

bool equal_names(std::string_view a, std::string_view b) {
  auto const lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) {
           return x == y || lower(x) == lower(y);
         });
}

std::string_view field_bytes(PyObject* str, Ref& room) {
  if (PyUnicode_IS_COMPACT_ASCII(str)) return utf8_of(str);
  room = Ref(PyUnicode_AsLatin1String(str));
  if (!room) return {};
  return {PyBytes_AS_STRING(room.get()), static_cast<std::size_t>(PyBytes_GET_SIZE(room.get()))};
}

}  // namespace millrace::python
