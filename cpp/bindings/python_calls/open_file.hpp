// millrace._core.OpenFile: a file that an answer sends, opened when the handler names it.
#pragma once
#include "ref.hpp"

#include "millrace/net/file.hpp"

namespace millrace::python {

struct OpenFileObject {
  PyObject_HEAD net::OpenFile file;
  base::ByteView media_type;  // by its name; static text
};

PyTypeObject* make_open_file_type();

}  // namespace millrace::python
