#include "open_file.hpp"

#include <cerrno>
#include <memory>

#include "gil.hpp"
#include "heap_type.hpp"

#include "millrace/proto/http/media_type.hpp"

namespace millrace::python {
namespace {

OpenFileObject* file_of(PyObject* self) { return reinterpret_cast<OpenFileObject*>(self); }

net::Opening open_without_lock(const char* path) {
  LockGivenUp const unlocked;  // a disk may take its time
  return net::open_file(path);
}

void raise_system_error(int number, PyObject* path) {
  if (number == EINVAL) {
    Ref const error(PyObject_CallFunction(PyExc_OSError, "isO", number,
                                          "not a regular file, which alone can be sent", path));
    if (error) PyErr_SetObject(as_object(Py_TYPE(error.get())), error.get());
    return;
  }
  errno = number;
  PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
}

PyObject* make(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  static char const* const names[] = {"path", nullptr};
  PyObject* path = nullptr;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O:OpenFile", const_cast<char**>(names),
                                   &path))
    return nullptr;
  PyObject* converted = nullptr;
  if (!PyUnicode_FSConverter(path, &converted)) return nullptr;
  Ref const bytes(converted);
  auto opening = open_without_lock(PyBytes_AS_STRING(converted));
  if (opening.error != 0) {
    raise_system_error(opening.error, path);
    return nullptr;
  }
  auto* const self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  std::construct_at(&file_of(self)->file, std::move(opening.file));
  file_of(self)->media_type = http::media_type_of(PyBytes_AS_STRING(converted));
  return self;
}

void destroy(PyObject* self) {
  std::destroy_at(&file_of(self)->file);
  free_instance(self);
}

}  // namespace

PyTypeObject* make_open_file_type() {
  PyType_Slot slots[] = {
      slot(Py_tp_doc, "OpenFile(path)\n--\n\nA regular file as the body of a Response."),
      slot(Py_tp_new, make),
      slot(Py_tp_dealloc, destroy),
      {}};
  return make_type<OpenFileObject>("millrace._core.OpenFile", 0, slots);
}

}  // namespace millrace::python
