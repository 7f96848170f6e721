#include "json.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include "host_module.hpp"

#include "millrace/base/eight_bytes.hpp"

namespace millrace::python {
namespace {

enum class Outcome { written, unknown, raised };

// Deeper values go to the library, which has a limit of its own and a proper exception for it.
constexpr int deepest = 64;

constexpr std::array<bool, 256> needs_escape = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = 0; c < 0x20; ++c) table[c] = true;
  table['"'] = table['\\'] = true;
  return table;
}();

// Up to where the text can be copied as it is.
std::size_t plain_end(std::string_view text, std::size_t from) {
  auto at = from;
  for (; at + 8 <= text.size(); at += 8) {
    base::EightBytes const eight(text.data() + at);
    auto const found = eight.below(0x20) | eight.equal_to('"') | eight.equal_to('\\');
    if (found) return at + base::EightBytes::first(found);
  }
  while (at < text.size() && !needs_escape[static_cast<unsigned char>(text[at])]) ++at;
  return at;
}

void append_escaped(std::string& out, unsigned char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += digits[c >> 4];
      out += digits[c & 15];
  }
}

Outcome append_str(std::string& out, PyObject* str) {
  auto const text = utf8_of(str);
  if (!text.data()) {  // a lone surrogate: the library escapes it
    PyErr_Clear();
    return Outcome::unknown;
  }
  out += '"';
  for (std::size_t from = 0;;) {
    auto const end = plain_end(text, from);
    out.append(text, from, end - from);
    if (end == text.size()) break;
    append_escaped(out, static_cast<unsigned char>(text[end]));
    from = end + 1;
  }
  out += '"';
  return Outcome::written;
}

Outcome append_int(std::string& out, PyObject* value) {
  int overflow = 0;
  auto const number = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (overflow) {
    Ref const text(PyLong_Type.tp_repr(value));
    if (!text) return Outcome::raised;  // more digits than the interpreter converts
    out += utf8_of(text.get());
    return Outcome::written;
  }
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  return Outcome::written;
}

// The text of Python's repr(): the shortest that reads back as the same number, with an exponent
// from 1e16 and below 1e-4.
Outcome append_float(std::string& out, double value) {
  if (!std::isfinite(value)) {
    PyErr_SetString(PyExc_ValueError, "JSON has no text for nan and infinite numbers (RFC 8259 6)");
    return Outcome::raised;
  }
  char text[40];
  auto const magnitude = std::fabs(value);
  bool const plain = magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e16);
  auto* const end = std::to_chars(text, text + sizeof text, value,
                                  plain ? std::chars_format::fixed : std::chars_format::scientific)
                        .ptr;
  std::string_view const written(text, static_cast<std::size_t>(end - text));
  out += written;
  if (plain && written.find('.') == written.npos) out += ".0";
  return Outcome::written;
}

Outcome append(std::string& out, PyObject* value, int depth);

Outcome append_dict(std::string& out, PyObject* dict, int depth) {
  out += '{';
  Py_ssize_t at = 0;
  PyObject *key = nullptr, *value = nullptr;
  bool first = true;
  while (PyDict_Next(dict, &at, &key, &value)) {
    if (!PyUnicode_CheckExact(key)) return Outcome::unknown;
    if (!std::exchange(first, false)) out += ',';
    if (auto const outcome = append_str(out, key); outcome != Outcome::written) return outcome;
    out += ':';
    if (auto const outcome = append(out, value, depth + 1); outcome != Outcome::written)
      return outcome;
  }
  out += '}';
  return Outcome::written;
}

Outcome append_sequence(std::string& out, PyObject* sequence, int depth) {
  out += '[';
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence); ++i) {
    if (i) out += ',';
    auto const outcome = append(out, PySequence_Fast_GET_ITEM(sequence, i), depth + 1);
    if (outcome != Outcome::written) return outcome;
  }
  out += ']';
  return Outcome::written;
}

Outcome append(std::string& out, PyObject* value, int depth) {
  if (PyUnicode_CheckExact(value)) return append_str(out, value);
  if (PyLong_CheckExact(value)) return append_int(out, value);
  if (value == Py_None || value == Py_True || value == Py_False) {
    out += value == Py_None ? "null" : value == Py_True ? "true" : "false";
    return Outcome::written;
  }
  if (PyFloat_CheckExact(value)) return append_float(out, PyFloat_AS_DOUBLE(value));
  if (depth >= deepest) return Outcome::unknown;
  if (PyDict_CheckExact(value)) return append_dict(out, value, depth);
  if (PyList_CheckExact(value) || PyTuple_CheckExact(value))
    return append_sequence(out, value, depth);
  return Outcome::unknown;
}

}  // namespace

bool append_json(std::string& out, PyObject* value) {
  auto const before = out.size();
  auto const outcome = append(out, value, 0);
  if (outcome == Outcome::written) return true;
  out.resize(before);
  if (outcome == Outcome::raised) return false;
  Ref const text(call_host("dump_json", value));
  if (!text) return false;
  out.append(PyBytes_AS_STRING(text.get()), static_cast<std::size_t>(PyBytes_GET_SIZE(text.get())));
  return true;
}

}  // namespace millrace::python
