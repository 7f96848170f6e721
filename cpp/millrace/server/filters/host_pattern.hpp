// Hosts as filters are told of them: one, or all below a domain.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "millrace/proto/http/fields.hpp"

namespace millrace::server {

// "*" stands for one or more characters of a host, where the pattern has one; the rest is compared
// in any letter case. The pattern itself is in lower case.
inline bool fits(base::ByteView text, base::ByteView pattern) {
  auto const star = pattern.find('*');
  if (star == pattern.npos) return http::equals_ignoring_case(text, pattern);
  auto const before = pattern.substr(0, star), behind = pattern.substr(star + 1);
  if (text.size() <= before.size() + behind.size()) return false;
  auto const middle = text.substr(before.size(), text.size() - before.size() - behind.size());
  auto const is_of_host = [](char c) { return (http::is_token_byte(c) && c != '*') || c == '.'; };
  return std::ranges::all_of(middle, is_of_host) &&
         http::equals_ignoring_case(text.substr(0, before.size()), before) &&
         http::equals_ignoring_case(text.substr(text.size() - behind.size()), behind);
}

inline bool fits_any(base::ByteView text, const std::vector<std::string>& patterns) {
  return std::ranges::any_of(patterns, [&](const auto& pattern) { return fits(text, pattern); });
}

}  // namespace millrace::server
