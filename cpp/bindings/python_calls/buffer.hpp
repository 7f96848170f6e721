// The bytes of a bytes-like object, for as long as this lives.
#pragma once
#include "ref.hpp"

#include "millrace/base/bytes.hpp"

namespace millrace::python {

// False, and an exception raised, where the object is not bytes-like. GIL held.
class Buffer {
 public:
  explicit Buffer(PyObject* object)
      : is_held_(PyObject_GetBuffer(object, &view_, PyBUF_SIMPLE) == 0) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (is_held_) PyBuffer_Release(&view_);
  }
  explicit operator bool() const { return is_held_; }
  base::ByteView view() const {
    return {static_cast<const char*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }

 private:
  Py_buffer view_;
  bool is_held_;
};

}  // namespace millrace::python
