#include "millrace/proto/forms/urlencoded.hpp"

#include <algorithm>
#include <span>

#include "millrace/proto/forms/part_head.hpp"

namespace millrace::forms {
namespace {

using base::ByteView;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  char const lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

ByteView decode_in_place(std::span<char> text) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i] == '+' ? ' ' : text[i];
    if (c == '%' && i + 2 < text.size()) {
      int const high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
      if (high >= 0 && low >= 0) {
        c = static_cast<char>(high * 16 + low);
        i += 2;
      }
    }
    text[size++] = c;
  }
  return {text.data(), size};
}

}  // namespace

base::Status UrlencodedParser::put(ByteView piece) {
  if (piece.size() > limits_.urlencoded_bytes - text_.size())
    return past_limit("urlencoded_bytes", limits_.urlencoded_bytes);
  text_.append(piece);
  return {};
}

base::Status UrlencodedParser::finish() {
  std::span<char> rest(text_);
  while (!rest.empty()) {
    auto const end = static_cast<std::size_t>(std::ranges::find(rest, '&') - rest.begin());
    auto const pair = rest.first(end);
    rest = rest.subspan(std::min(end + 1, rest.size()));
    if (pair.empty()) continue;
    if (pairs_.size() == limits_.pairs) return past_limit("pairs", limits_.pairs);
    auto const equals = static_cast<std::size_t>(std::ranges::find(pair, '=') - pair.begin());
    auto const value = pair.subspan(std::min(equals + 1, pair.size()));
    pairs_.push_back({decode_in_place(pair.first(equals)), decode_in_place(value)});
  }
  return {};
}

}  // namespace millrace::forms
