#include "millrace/proto/http/cookies.hpp"

#include <algorithm>

#include "millrace/proto/http/text.hpp"

namespace millrace::http {

using base::ByteView;

namespace {

ByteView unquoted(ByteView value) {
  bool const is_quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
  return is_quoted ? value.substr(1, value.size() - 2) : value;
}

}  // namespace

base::Status read_cookies(ByteView field, std::vector<Cookie>& into) {
  while (!field.empty()) {
    auto const pair = field.substr(0, field.find(';'));
    field.remove_prefix(std::min(pair.size() + 1, field.size()));
    auto const equals = pair.find('=');
    if (equals == ByteView::npos) continue;
    auto const name = trimmed(pair.substr(0, equals));
    if (name.empty()) continue;
    if (into.size() == cookies_most)
      return base::failure(base::Errc::too_many_fields, {},
                           "limit " + std::to_string(cookies_most) + " cookies");
    into.push_back({name, unquoted(trimmed(pair.substr(equals + 1)))});
  }
  return {};
}

}  // namespace millrace::http
