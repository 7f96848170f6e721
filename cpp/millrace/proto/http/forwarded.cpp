#include "millrace/proto/http/forwarded.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "millrace/proto/http/fields.hpp"
#include "millrace/proto/http/text.hpp"

namespace millrace::http {
namespace {

using base::ByteView;

// What is left to read.
class Rest {
 public:
  explicit Rest(ByteView text) : text_(text) {}

  bool is_empty() const { return text_.empty(); }
  bool take(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  // The grammar has none around ';', but many a proxy writes them.
  void skip_blanks() {
    while (!text_.empty() && is_blank(text_.front())) text_.remove_prefix(1);
  }
  ByteView take_token() {
    auto const end = std::ranges::find_if_not(text_, is_token_byte);
    ByteView const token(text_.begin(), end);
    text_.remove_prefix(token.size());
    return token;
  }
  // Behind its opening quote (RFC 9110 5.6.4).
  std::optional<std::string> take_quoted() {
    std::string said;
    while (!text_.empty()) {
      if (take('"')) return said;
      if (take('\\') && text_.empty()) return std::nullopt;
      said += text_.front();
      text_.remove_prefix(1);
    }
    return std::nullopt;
  }
  std::optional<std::string> take_value() {
    if (take('"')) return take_quoted();
    auto const token = take_token();
    return token.empty() ? std::nullopt : std::optional<std::string>(token);
  }

 private:
  ByteView text_;
};

// Of the parameters that there may be only those that say something here are kept.
struct Element {
  ForwardedHop hop;
  std::vector<std::string> names;  // in lower case; each may come once (RFC 7239 4)

  bool add(ByteView name, std::string value) {
    auto lower_case = in_lower_case(name);
    if (std::ranges::find(names, lower_case) != names.end()) return false;
    if (lower_case == "for")
      hop.for_node = std::move(value);
    else if (lower_case == "host")
      hop.host = std::move(value);
    else if (lower_case == "proto")
      hop.proto = std::move(value);
    names.push_back(std::move(lower_case));
    return true;
  }
};

// Pairs up to a comma or the end.
std::optional<Element> take_element(Rest& rest) {
  Element element;
  do {
    rest.skip_blanks();
    if (auto const name = rest.take_token(); !name.empty()) {
      if (!rest.take('=')) return std::nullopt;
      auto value = rest.take_value();
      if (!value || !element.add(name, std::move(*value))) return std::nullopt;
    }
    rest.skip_blanks();
  } while (rest.take(';'));
  return element;
}

// "unknown", or a name that the proxy made up (RFC 7239 6.2, 6.3).
bool is_kept_back(ByteView text) {
  auto const is_of_name = [](char c) {
    auto const letter = lower(c);
    return (letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  if (equals_ignoring_case(text, "unknown")) return true;
  return text.size() > 1 && text.front() == '_' && std::ranges::all_of(text, is_of_name);
}

std::optional<std::uint16_t> read_port(ByteView text) {
  if (is_kept_back(text)) return 0;
  std::uint16_t port = 0;
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  bool const is_port = problem == std::errc{} && end == text.data() + text.size();
  return is_port ? std::optional(port) : std::nullopt;
}

}  // namespace

std::optional<std::vector<ForwardedHop>> read_forwarded(ByteView field) {
  std::vector<ForwardedHop> hops;
  Rest rest(field);
  do {
    auto element = take_element(rest);
    if (!element) return std::nullopt;
    // Lists may have members that are empty (RFC 9110 5.6.1.2).
    if (!element->names.empty()) hops.push_back(std::move(element->hop));
  } while (rest.take(','));
  return rest.is_empty() ? std::optional(std::move(hops)) : std::nullopt;
}

std::optional<ForwardedNode> read_forwarded_node(ByteView text) {
  ForwardedNode node;
  ByteView behind;
  if (text.starts_with('[')) {
    auto const end = text.find(']');
    if (end == text.npos) return std::nullopt;
    node.address = text.substr(1, end - 1);
    behind = text.substr(end + 1);
  } else {
    // More than one colon, and no brackets: IPv6 without a port.
    auto const colon = text.find(':');
    bool const has_port = colon != text.npos && text.rfind(':') == colon;
    node.address = text.substr(0, has_port ? colon : text.npos);
    behind = text.substr(node.address.size());
  }
  if (node.address.empty()) return std::nullopt;
  if (is_kept_back(node.address)) node.address = {};
  if (behind.empty()) return node;
  auto const port = behind.front() == ':' ? read_port(behind.substr(1)) : std::nullopt;
  if (!port) return std::nullopt;
  node.port = *port;
  return node;
}

}  // namespace millrace::http
