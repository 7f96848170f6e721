#include "millrace/observe/log_escape.hpp"

#include <algorithm>
#include <array>

#include "millrace/base/eight_bytes.hpp"

namespace millrace::observe {
namespace {

constexpr std::array<bool, 256> make_plain() {
  std::array<bool, 256> plain{};
  for (int c = 0x20; c < 0x7f; ++c) plain[static_cast<std::size_t>(c)] = c != '"' && c != '\\';
  return plain;
}
constexpr auto is_plain = make_plain();

// Whether eight bytes are plain all of them; looks at them at once, as most are.
bool are_plain(const char* at) {
  base::EightBytes const eight(at);
  return (eight.beyond_ascii() | eight.below(0x20) | eight.equal_to('"') | eight.equal_to('\\') |
          eight.equal_to(0x7f)) == 0;
}

bool is_plain_byte(char c) { return is_plain[static_cast<unsigned char>(c)]; }

bool is_plain_text(base::ByteView text) {
  auto const* at = text.data();
  auto const* const end = at + text.size();
  if (end - at < 8) return std::all_of(at, end, is_plain_byte);
  for (; end - at > 8; at += 8)
    if (!are_plain(at)) return false;
  return are_plain(end - 8);  // perhaps some of them once more
}

// `escape` writes a byte that is neither plain nor behind a backslash.
template <class Escape>
void append_with(std::string& out, base::ByteView text, Escape escape) {
  if (is_plain_text(text)) {
    out += text;
    return;
  }
  for (char const c : text) {
    bool const is_quoted = c == '"' || c == '\\';
    if (is_quoted) out += '\\';
    if (is_quoted || is_plain_byte(c)) {
      out += c;
    } else {
      escape(static_cast<unsigned char>(c));
    }
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
