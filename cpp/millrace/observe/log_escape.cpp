#include "millrace/observe/log_escape.hpp"

#include <algorithm>
#include <array>

namespace millrace::observe {
namespace {

constexpr std::array<bool, 256> make_plain() {
  std::array<bool, 256> plain{};
  for (int c = 0x20; c < 0x7f; ++c) plain[static_cast<std::size_t>(c)] = c != '"' && c != '\\';
  return plain;
}
constexpr auto is_plain = make_plain();

// Runs of plain bytes are copied as they are; `escape` writes one that is not.
template <class Escape>
void append_with(std::string& out, base::ByteView text, Escape escape) {
  auto const* at = text.data();
  auto const* const end = at + text.size();
  while (at != end) {
    auto const* const stop =
        std::find_if_not(at, end, [](char c) { return is_plain[static_cast<unsigned char>(c)]; });
    out.append(at, stop);
    if (stop == end) return;
    if (*stop == '"' || *stop == '\\') {
      out += '\\';
      out += *stop;
    } else {
      escape(static_cast<unsigned char>(*stop));
    }
    at = stop + 1;
  }
}

constexpr char hex[] = "0123456789abcdef";

}  // namespace

void append_escaped(std::string& out, base::ByteView text) {
  append_with(out, text, [&out](unsigned char c) {
    out += "\\x";
    out += hex[c >> 4];
    out += hex[c & 15];
  });
}

void append_json_string(std::string& out, base::ByteView text) {
  out += '"';
  append_with(out, text, [&out](unsigned char c) {
    out += "\\u00";
    out += hex[c >> 4];
    out += hex[c & 15];
  });
  out += '"';
}

}  // namespace millrace::observe
