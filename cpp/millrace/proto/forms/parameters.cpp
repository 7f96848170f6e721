#include "millrace/proto/forms/parameters.hpp"

#include <algorithm>

#include "millrace/proto/http/fields.hpp"
#include "millrace/proto/http/text.hpp"

namespace millrace::forms {
namespace {

using base::ByteView;

void skip_blanks(ByteView& text) {
  while (!text.empty() && http::is_blank(text.front())) text.remove_prefix(1);
}

ByteView take_token(ByteView& text) {
  std::size_t size = 0;
  while (size < text.size() && http::is_token_byte(text[size])) ++size;
  auto const token = text.substr(0, size);
  text.remove_prefix(size);
  return token;
}

bool is_escaped(char c, Quoting quoting) {
  return quoting == Quoting::field || c == '"' || c == '\\';
}

// What the three escapes of browsers stand for; others are not theirs.
std::optional<char> browsers_escape(ByteView text) {
  auto const is = [&](ByteView escape) {
    return http::equals_ignoring_case(text.substr(0, 3), escape);
  };
  if (is("%22")) return '"';
  if (is("%0d")) return '\r';
  if (is("%0a")) return '\n';
  return std::nullopt;
}

// `text` begins with the opening quote. None where the closing one is missing.
std::optional<std::string> take_quoted(ByteView& text, Quoting quoting) {
  text.remove_prefix(1);
  std::string value;
  while (!text.empty()) {
    if (text.front() == '"') {
      text.remove_prefix(1);
      return value;
    }
    if (text.front() == '\\' && text.size() > 1 && is_escaped(text[1], quoting)) {
      value += text[1];
      text.remove_prefix(2);
    } else if (auto const escaped =
                   quoting == Quoting::form ? browsers_escape(text) : std::nullopt) {
      value += *escaped;
      text.remove_prefix(3);
    } else {
      value += text.front();
      text.remove_prefix(1);
    }
  }
  return std::nullopt;
}

std::optional<std::string> take_value(ByteView& text, Quoting quoting) {
  if (!text.empty() && text.front() == '"') return take_quoted(text, quoting);
  auto const token = take_token(text);
  return token.empty() ? std::nullopt : std::optional<std::string>(token);
}

}  // namespace

std::optional<std::vector<Parameter>> read_parameters(ByteView text, Quoting quoting) {
  std::vector<Parameter> parameters;
  for (;;) {
    skip_blanks(text);
    if (text.empty()) return parameters;
    if (text.front() != ';') return std::nullopt;
    text.remove_prefix(1);
    skip_blanks(text);
    if (text.empty() || text.front() == ';') continue;  // RFC 9110 5.6.6 lets it be empty
    auto name = http::in_lower_case(take_token(text));
    if (name.empty() || text.empty() || text.front() != '=') return std::nullopt;
    text.remove_prefix(1);
    auto value = take_value(text, quoting);
    if (!value || find(parameters, name)) return std::nullopt;
    parameters.push_back({std::move(name), std::move(*value)});
  }
}

std::optional<std::string> find(const std::vector<Parameter>& parameters, ByteView name) {
  auto const found = std::ranges::find(parameters, name, &Parameter::name);
  return found == parameters.end() ? std::nullopt : std::optional(found->value);
}

}  // namespace millrace::forms
