// Bytes from the network as text that cannot leave its place in a line.
#pragma once
#include <charconv>
#include <string>

#include "millrace/base/bytes.hpp"

namespace millrace::observe {

// As Apache does: a quote and a backslash behind a backslash, other bytes that are no printable
// ASCII as \xhh.
void append_escaped(std::string& out, base::ByteView text);
// A JSON string, quotes included. Bytes above ASCII are read as Latin-1, as fields are everywhere.
void append_json_string(std::string& out, base::ByteView text);

template <class Number>
void append_number(std::string& out, Number number) {
  char digits[24];
  auto const* const end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, static_cast<std::size_t>(end - digits));
}

// Nanoseconds as seconds, to the microsecond: "0.000123".
inline void append_seconds(std::string& out, std::int64_t nanoseconds) {
  auto const microseconds = nanoseconds / 1'000;
  append_number(out, microseconds / 1'000'000);
  out += '.';
  auto const fraction = std::to_string(1'000'000 + microseconds % 1'000'000);
  out.append(fraction, 1);
}

}  // namespace millrace::observe
