#include "millrace/proto/http/target.hpp"

#include <array>
#include <utility>

namespace millrace::http {
namespace {

using base::Errc;
using base::Status;

Status bad_target(ByteView why) {
  return base::failure(Errc::bad_target, "RFC 9112 3.2", std::string(why));
}

// What a byte of a path or query means to us. RFC 3986 forbids more (quotes, braces, '|', '^',
// '\'), but browsers send those in queries and nothing about them is ambiguous.
enum class Kind : std::uint8_t { plain, forbidden, percent, question, dot };
constexpr auto kinds = [] {
  std::array<Kind, 256> table{};
  for (std::size_t c = 0; c < 256; ++c)
    if (c <= ' ' || c >= 0x7f) table[c] = Kind::forbidden;
  table['#'] = Kind::forbidden;
  table['%'] = Kind::percent;
  table['?'] = Kind::question;
  table['.'] = Kind::dot;
  return table;
}();
Kind kind_of(char c) { return kinds[static_cast<unsigned char>(c)]; }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
bool is_escape(ByteView text, std::size_t at) {
  return at + 2 < text.size() && hex_value(text[at + 1]) >= 0 && hex_value(text[at + 2]) >= 0;
}

bool is_dot_segment(ByteView segment) { return segment == "." || segment == ".."; }

// RFC 3986 5.2.4 on a decoded path that begins with '/'. It runs behind the decoding, so that an
// escaped dot or slash cannot hide a segment from it.
std::string without_dot_segments(ByteView path) {
  std::string out;
  out.reserve(path.size());
  for (std::size_t slash = 0; slash < path.size();) {
    auto const end = std::min(path.find('/', slash + 1), path.size());
    auto const segment = path.substr(slash + 1, end - slash - 1);
    if (!is_dot_segment(segment)) {
      out.append(path.substr(slash, end - slash));
    } else {
      if (segment.size() == 2 && !out.empty()) out.resize(out.rfind('/'));
      if (end == path.size()) out += '/';
    }
    slash = end;
  }
  return out;
}

Span append(HeadBlock& block, ByteView text) {
  Span const span{static_cast<std::uint32_t>(block.bytes.size()),
                  static_cast<std::uint32_t>(text.size())};
  block.bytes.append(text);
  return span;
}

Status read_query(HeadBlock& block, Span query) {
  auto const text = block.view(query);
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto const kind = kind_of(text[i]);
    if (kind == Kind::forbidden) return bad_target("forbidden byte in the query");
    if (kind == Kind::percent && !is_escape(text, i))
      return bad_target("malformed percent escape in the query");
  }
  block.query = query;
  return {};
}

// `rest` begins with '/'.
Status read_path_and_query(HeadBlock& block, Span rest) {
  auto const text = block.view(rest);
  bool needs_work = false;
  std::size_t i = 0;
  for (; i < text.size(); ++i) {
    auto const kind = kind_of(text[i]);
    if (kind == Kind::plain) continue;
    if (kind == Kind::question) break;
    if (kind == Kind::forbidden) return bad_target("forbidden byte in the path");
    if (kind == Kind::percent && !is_escape(text, i))
      return bad_target("malformed percent escape in the path");
    needs_work = needs_work || kind == Kind::percent || text[i - 1] == '/';
  }
  block.path = {rest.at, static_cast<std::uint32_t>(i)};
  if (i < text.size()) {
    Span const query{static_cast<std::uint32_t>(rest.at + i + 1),
                     static_cast<std::uint32_t>(text.size() - i - 1)};
    if (auto status = read_query(block, query); !status) return status;
  }
  if (!needs_work) return {};
  auto const decoded = percent_decode(block.view(block.path));
  if (decoded->find('\0') != std::string::npos) return bad_target("escaped NUL in the path");
  auto const path = without_dot_segments(*decoded);
  if (path != block.view(block.path)) block.path = append(block, path);
  return {};
}

bool begins_with(ByteView text, ByteView lower_case_prefix) {
  return equals_ignoring_case(text.substr(0, lower_case_prefix.size()), lower_case_prefix);
}

// RFC 9112 3.2.2. Only schemes that this connection can stand for.
Status read_absolute_form(HeadBlock& block) {
  auto const text = block.view(block.target);
  std::size_t const scheme = begins_with(text, "http://")    ? 7
                             : begins_with(text, "https://") ? 8
                                                             : 0;
  if (scheme == 0) return bad_target("neither a path nor an http URI");
  auto const end = std::min(text.find_first_of("/?", scheme), text.size());
  if (!is_authority(text.substr(scheme, end - scheme))) return bad_target("malformed authority");
  auto const at = static_cast<std::uint32_t>(block.target.at + end);
  Span const rest{at, static_cast<std::uint32_t>(text.size() - end)};
  block.authority = {static_cast<std::uint32_t>(block.target.at + scheme),
                     static_cast<std::uint32_t>(end - scheme)};
  if (rest.size != 0 && text[end] == '/') return read_path_and_query(block, rest);
  if (rest.size != 0)
    if (auto status = read_query(block, {rest.at + 1, rest.size - 1}); !status) return status;
  // RFC 9112 3.2.4: OPTIONS on a URI without a path asks about the server as a whole.
  bool const is_about_server = block.method == Method::options && rest.size == 0;
  block.path = append(block, is_about_server ? "*" : "/");
  return {};
}

// RFC 9110 9.3.6: host and port, both needed.
Status read_authority_form(HeadBlock& block) {
  auto const text = block.view(block.target);
  auto const colon = text.rfind(':');
  if (!is_authority(text) || colon == ByteView::npos || colon + 1 == text.size() ||
      text.back() == ']')
    return bad_target("CONNECT needs a host and a port");
  block.authority = block.target;
  return {};
}

constexpr auto name_bytes = [] {  // unreserved and sub-delims (RFC 3986 3.2.2), without '%'
  std::array<bool, 256> table{};
  for (std::size_t c = '0'; c <= '9'; ++c) table[c] = true;
  for (std::size_t c = 'a'; c <= 'z'; ++c) table[c] = table[c - 32] = true;
  for (char c : std::string_view("-._~!$&'()*+,;=")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

bool is_port(ByteView text) {
  unsigned value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
    if (value > 65535) return false;
  }
  return true;  // an empty one is allowed (RFC 3986 3.2.3)
}

// RFC 3986 3.2.2: four numbers below 256, without zeros in front.
bool is_ipv4(ByteView text) {
  int dots = 0;
  std::size_t digits = 0;
  unsigned value = 0;
  for (char c : text) {
    if (c == '.') {
      if (digits == 0) return false;
      ++dots;
      digits = 0;
      value = 0;
      continue;
    }
    if (c < '0' || c > '9' || (digits == 1 && value == 0)) return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
    if (++digits > 3 || value > 255) return false;
  }
  return dots == 3 && digits > 0;
}

// Groups of hexadecimal digits, at most one "::", an IPv4 tail allowed. No zone: it means nothing
// to a peer.
bool is_ipv6(ByteView text) {
  int groups = 0;
  bool gap = false;
  std::size_t i = 0;
  if (text.substr(0, 2) == "::") {
    gap = true;
    i = 2;
  }
  while (i < text.size()) {
    auto const end = std::min(text.find(':', i), text.size());
    auto const group = text.substr(i, end - i);
    if (group.find('.') != ByteView::npos) {
      if (end != text.size() || !is_ipv4(group)) return false;
      groups += 2;
      i = end;
      break;
    }
    if (group.empty() || group.size() > 4) return false;
    for (char c : group)
      if (hex_value(c) < 0) return false;
    ++groups;
    i = end;
    if (i == text.size()) break;
    if (++i == text.size()) return false;  // ends in a single colon
    if (text[i] == ':') {
      if (std::exchange(gap, true)) return false;
      ++i;
    }
  }
  return gap ? groups < 8 : groups == 8;
}

}  // namespace

ByteView host_in(ByteView authority) {
  auto const end = authority.starts_with('[') ? authority.find(']') + 1 : authority.find(':');
  return authority.substr(0, end);
}

bool is_authority(ByteView text) {
  if (!text.empty() && text.front() == '[') {
    auto const end = text.find(']');
    if (end == ByteView::npos || !is_ipv6(text.substr(1, end - 1))) return false;
    auto const rest = text.substr(end + 1);
    return rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)));
  }
  auto const* const begin = text.data();
  auto const* const end = begin + text.size();
  auto const* p = begin;
  for (; p != end; ++p)
    if (!name_bytes[static_cast<unsigned char>(*p)] &&
        !(*p == '%' && is_escape(text, static_cast<std::size_t>(p - begin))))
      break;
  if (p == begin) return false;
  return p == end || (*p == ':' && is_port(text.substr(static_cast<std::size_t>(p - begin) + 1)));
}

Status read_target(HeadBlock& block) {
  auto const text = block.view(block.target);
  if (text.empty()) return bad_target("empty");
  if (block.method == Method::connect) return read_authority_form(block);
  if (text.front() == '/') return read_path_and_query(block, block.target);
  if (text != "*") return read_absolute_form(block);
  if (block.method != Method::options) return bad_target("'*' is for OPTIONS");
  block.path = block.target;
  return {};
}

std::optional<std::string> percent_decode(ByteView text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
    } else {
      if (!is_escape(text, i)) return std::nullopt;
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    }
  }
  return out;
}

}  // namespace millrace::http
