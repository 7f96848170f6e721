// Values as JSON text, written here for the exact built-in types.
#pragma once
#include <string>

#include "ref.hpp"

namespace millrace::python {

// Appends the value as JSON (RFC 8259): dict with str keys, list, tuple, str, int, float, bool and
// None; all else is left to orjson, where it is installed, or json. False and an exception raised
// (ValueError: a float without a JSON form; TypeError: a type nobody knows) where there is no text
// for it.
bool append_json(std::string& out, PyObject* value);

}  // namespace millrace::python
