#include "millrace/proto/http1/start_line.hpp"

#include <algorithm>
#include <cstring>

namespace millrace::http1 {
namespace {

using base::ByteView;
using http::Span;

constexpr std::size_t version_size = 8;  // "HTTP/1.1"
constexpr ByteView line_end = "\r\n";

Span span_of(std::size_t at, std::size_t end) {
  return {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(end - at)};
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// At least version_size bytes.
bool is_version(ByteView text) {
  return text.substr(0, 5) == "HTTP/" && is_digit(text[5]) && text[6] == '.' && is_digit(text[7]);
}
bool is_ours(ByteView version) { return version[5] == '1' && version[7] <= '1'; }

// What nearly every request line ends in, seen in one comparison.
bool is_usual_end(ByteView rest) {
  constexpr std::string_view usual = "HTTP/1.1\r\n";
  return rest.size() == usual.size() && std::memcmp(rest.data(), usual.data(), usual.size()) == 0;
}

void set_version(http::HeadBlock& block, ByteView version) {
  block.version_major = static_cast<std::uint8_t>(version[5] - '0');
  block.version_minor = static_cast<std::uint8_t>(version[7] - '0');
}

// Nothing is there yet, or a CR that may prove to stand alone.
bool is_unfinished(ByteView text, std::size_t at) {
  return at == text.size() || (at + 1 == text.size() && text[at] == '\r');
}

}  // namespace

Breach read_request_line(http::HeadBlock& block, const http::Limits& limits,
                         std::size_t& line_size) {
  ByteView const text = block.bytes;
  line_size = 0;

  auto const method_most = std::min(text.size(), method_bytes + 1);
  std::size_t method_end = 0;
  while (method_end < method_most && http::is_token_byte(text[method_end])) ++method_end;
  if (method_end > method_bytes) return {Rule::method, text.substr(0, method_end)};
  if (is_unfinished(text, method_end)) return {};
  if (text[method_end] != ' ' || method_end == 0) {
    bool const is_blank =
        text[method_end] == ' ' || text[method_end] == '\r' || text[method_end] == '\t';
    return {is_blank ? Rule::request_line : Rule::method, text.substr(0, method_end + 1)};
  }

  // Even if the rest is refused: the answer to HEAD has no body.
  block.method_text = span_of(0, method_end);
  block.method = http::method_named(text.substr(0, method_end));

  auto const target_at = method_end + 1;
  auto const target_most = std::min(text.size(), target_at + limits.target_bytes + 1);
  auto target_end = target_at;
  while (target_end<target_most&& static_cast<unsigned char>(text[target_end])> ' ') ++target_end;
  auto const target = text.substr(target_at, target_end - target_at);
  if (target.size() > limits.target_bytes) return {Rule::target_size, target};
  if (is_unfinished(text, target_end)) return {};
  if (text[target_end] != ' ') {
    // A line that ends here is HTTP/0.9's.
    return {text[target_end] == '\r' ? Rule::request_line : Rule::target,
            text.substr(0, target_end + 1)};
  }
  if (target.empty()) return {Rule::request_line, text.substr(0, target_end + 1)};

  auto const rest = text.substr(target_end + 1, version_size + line_end.size());
  if (!is_usual_end(rest)) {
    bool const is_short = rest.size() < version_size + line_end.size();
    if (is_short && rest.find(line_end) == ByteView::npos) return {};
    if (is_short || rest.substr(version_size) != line_end || !is_version(rest))
      return {Rule::request_line, text.substr(0, target_end + 1 + rest.size())};
    if (!is_ours(rest)) return {Rule::version, rest.substr(0, version_size)};
  }

  block.target = span_of(target_at, target_end);
  set_version(block, rest);
  line_size = target_end + 1 + rest.size();
  return {};
}

Breach read_status_line(http::HeadBlock& block, std::size_t& line_size) {
  ByteView const text = block.bytes;
  line_size = 0;
  auto const end = text.find(line_end);
  if (end == ByteView::npos) return {};
  auto const line = text.substr(0, end);
  constexpr auto status_at = version_size + 1;
  constexpr auto status_end = status_at + 3;
  bool const is_whole = line.size() >= status_end && is_version(line) &&
                        line[version_size] == ' ' && line[status_at] >= '1' &&
                        is_digit(line[status_at]) && is_digit(line[status_at + 1]) &&
                        is_digit(line[status_at + 2]);
  // RFC 9112 4 wants the space even before an empty reason; servers forget it, and nothing else
  // could be meant.
  if (!is_whole || (line.size() > status_end && line[status_end] != ' ') ||
      !http::is_field_value(line.substr(status_end)))
    return {Rule::status_line, line};
  if (!is_ours(line)) return {Rule::version, line.substr(0, version_size)};
  set_version(block, line);
  block.status =
      static_cast<std::uint16_t>((line[status_at] - '0') * 100 + (line[status_at + 1] - '0') * 10 +
                                 (line[status_at + 2] - '0'));
  block.reason = span_of(std::min(status_end + 1, end), end);
  line_size = end + line_end.size();
  return {};
}

}  // namespace millrace::http1
