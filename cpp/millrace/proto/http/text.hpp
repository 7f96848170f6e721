// Pieces of field values: letter case, blanks, members of lists (RFC 9110 5.6).
#pragma once
#include <algorithm>
#include <array>
#include <string>

#include "millrace/base/bytes.hpp"

namespace millrace::http {

inline constexpr auto lower_case_bytes = [] {
  std::array<char, 256> table{};
  for (std::size_t c = 0; c < 256; ++c)
    table[c] = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
  return table;
}();
constexpr char lower(char c) { return lower_case_bytes[static_cast<unsigned char>(c)]; }

inline std::string in_lower_case(base::ByteView text) {
  std::string lower_case(text);
  for (auto& c : lower_case) c = lower(c);
  return lower_case;
}

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }

// Without the blanks around it.
constexpr base::ByteView trimmed(base::ByteView text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Takes the first member off a comma-separated list, trimmed; empty ones come too. What follows a
// comma at the end of the list is no member.
constexpr base::ByteView take_member(base::ByteView& list) {
  auto const comma = std::min(list.find(','), list.size());
  auto const member = trimmed(list.substr(0, comma));
  list.remove_prefix(std::min(comma + 1, list.size()));
  return member;
}

}  // namespace millrace::http
