// Classes of ours: made anew in each interpreter, since interpreters with a lock of their own may
// share no object.
#pragma once
#include "ref.hpp"

namespace millrace::python {

template <class Function>
PyType_Slot slot(int id, Function* function) {
  return {id, reinterpret_cast<void*>(function)};
}
inline PyType_Slot slot(int id, const char* text) { return {id, const_cast<char*>(text)}; }

// Null and an exception raised where there is no memory. The name and the slots' methods, members
// and attributes are used for as long as the class lives; the slots end in {}.
template <class Object>
PyTypeObject* make_type(const char* name, unsigned long flags, PyType_Slot* slots) {
  PyType_Spec spec{name, static_cast<int>(sizeof(Object)), 0,
                   static_cast<unsigned>(Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | flags),
                   slots};
  return reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
}

// The end of an instance: it gives back its memory, and its class.
inline void free_instance(PyObject* self) {
  auto* const type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

}  // namespace millrace::python
