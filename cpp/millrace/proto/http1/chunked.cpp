#include "millrace/proto/http1/chunked.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "millrace/proto/http1/field_section.hpp"

namespace millrace::http1 {
namespace {

using base::ByteView;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
bool is_blank(char c) { return c == ' ' || c == '\t'; }
// What may stand inside quotes, the quote and the backslash apart (RFC 9110 5.6.4).
bool is_quotable(char c) {
  auto const byte = static_cast<unsigned char>(c);
  return c == '\t' || (byte >= ' ' && byte != 0x7f);
}

constexpr std::array<ByteView, 18> forbidden_trailers{
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "max-forwards",
    "set-cookie",
    "te",
    "proxy-authorization",
    "proxy-authenticate",
    "trailer",
    "upgrade",
};

}  // namespace

bool is_forbidden_trailer(ByteView name) {
  if (http::equals_ignoring_case(name, "transfer-encoding")) return true;
  return std::ranges::any_of(forbidden_trailers, [name](ByteView forbidden) {
    return http::equals_ignoring_case(name, forbidden);
  });
}

ChunkedReader::Outcome ChunkedReader::feed(ByteView bytes, std::size_t most_data,
                                           const http::Limits& limits) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    char const c = bytes[i];
    switch (state_) {
      case State::data: {
        auto const n = static_cast<std::size_t>(std::min<std::uint64_t>(
            {bytes.size() - i, static_cast<std::uint64_t>(most_data), remaining_}));
        remaining_ -= n;
        if (remaining_ == 0) state_ = State::data_carriage_return;
        return {i + n, bytes.substr(i, n), {}};
      }
      case State::data_carriage_return:
        if (c != '\r') return {i, {}, {Rule::chunk_end, bytes.substr(i, 1)}};
        state_ = State::data_line_feed;
        break;
      case State::data_line_feed:
        if (c != '\n') return {i, {}, {Rule::chunk_end, bytes.substr(i, 1)}};
        state_ = State::size;
        has_digits_ = false;
        line_bytes_ = 0;
        break;
      case State::trailers:
        return read_trailers(bytes.substr(i), i, limits);
      case State::done:
        return {i, {}, {}};
      default:
        // The limit is on what stands before the line's CR LF.
        if (c != '\r' && c != '\n' && ++line_bytes_ > limits.chunk_line_bytes)
          return {i, {}, {Rule::chunk_line_size, {}}};
        if (auto const breach = read_line_byte(c))
          return {i, {}, {breach.rule, bytes.substr(i, 1)}};
    }
  }
  return {bytes.size(), {}, {}};
}

Breach ChunkedReader::read_line_byte(char c) {
  if (state_ == State::line_feed) {
    if (c != '\n') return {Rule::line_end, {}};
    state_ = behind_line();
    return {};
  }
  if (state_ == State::size) return {read_size_byte(c), {}};
  return {read_extension_byte(c), {}};
}

Rule ChunkedReader::read_size_byte(char c) {
  if (auto const digit = hex_value(c); digit >= 0) {
    if (remaining_ > (std::numeric_limits<std::int64_t>::max() >> 4)) return Rule::chunk_size;
    remaining_ = remaining_ << 4 | static_cast<std::uint64_t>(digit);
    has_digits_ = true;
    return Rule::none;
  }
  if (!has_digits_) return Rule::chunk_size;
  if (c == '\r') {
    state_ = State::line_feed;
  } else if (c == ';') {
    state_ = State::before_name;
  } else if (is_blank(c)) {
    state_ = State::before_semicolon;
  } else {
    return Rule::chunk_size;
  }
  return Rule::none;
}

// chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ), read and thrown
// away. White space that is followed by nothing is not in the grammar.
Rule ChunkedReader::read_extension_byte(char c) {
  auto const go = [this](State to) {
    state_ = to;
    return Rule::none;
  };
  switch (state_) {
    case State::before_semicolon:
      if (is_blank(c)) return Rule::none;
      if (c == ';') return go(State::before_name);
      break;
    case State::before_name:
      if (is_blank(c)) return Rule::none;
      if (http::is_token_byte(c)) return go(State::name);
      break;
    case State::name:
      if (http::is_token_byte(c)) return Rule::none;
      if (c == '=') return go(State::before_value);
      if (c == ';') return go(State::before_name);
      if (c == '\r') return go(State::line_feed);
      if (is_blank(c)) return go(State::behind_name);
      break;
    case State::behind_name:
      if (is_blank(c)) return Rule::none;
      if (c == '=') return go(State::before_value);
      if (c == ';') return go(State::before_name);
      break;
    case State::before_value:
      if (is_blank(c)) return Rule::none;
      if (c == '"') return go(State::quoted);
      if (http::is_token_byte(c)) return go(State::value);
      break;
    case State::value:
      if (http::is_token_byte(c)) return Rule::none;
      [[fallthrough]];
    case State::behind_quoted:
      if (c == ';') return go(State::before_name);
      if (c == '\r') return go(State::line_feed);
      if (is_blank(c)) return go(State::before_semicolon);
      break;
    case State::quoted:
      if (c == '"') return go(State::behind_quoted);
      if (c == '\\') return go(State::quoted_pair);
      if (is_quotable(c)) return Rule::none;
      break;
    case State::quoted_pair:
      if (is_quotable(c)) return go(State::quoted);
      break;
    case State::size:
    case State::line_feed:
    case State::data:
    case State::data_carriage_return:
    case State::data_line_feed:
    case State::trailers:
    case State::done:
      break;
  }
  return Rule::chunk_extension;
}

// The section obeys the rules of a head's fields, so it is read by the same means.
ChunkedReader::Outcome ChunkedReader::read_trailers(ByteView bytes, std::size_t consumed,
                                                    const http::Limits& limits) {
  if (!section_) section_.reset(http::HeadPool::take());
  auto& text = section_->bytes;
  auto const room = limits.trailer_bytes + 2 - std::min(limits.trailer_bytes + 2, text.size());
  auto const fitting = bytes.substr(0, room);
  auto const [found, at] = scan_(fitting);
  auto const used = found == LineScan::Found::nothing ? fitting.size() : at;
  text.append(fitting.substr(0, used));
  consumed += used;
  switch (found) {
    case LineScan::Found::nothing:
      return {consumed, {}, {fitting.size() < bytes.size() ? Rule::trailer_size : Rule::none, {}}};
    case LineScan::Found::bad_line_end:
      return {consumed, {}, {Rule::line_end, fitting.substr(at, 1)}};
    case LineScan::Found::nul:
      return {consumed, {}, {Rule::nul_byte, {}}};
    case LineScan::Found::end:
      break;
  }
  if (auto const breach = read_fields(*section_, 0, limits.field_count))
    return {consumed, {}, breach};
  for (auto const& field : section_->fields) {
    auto const name = section_->view(field.name);
    if (is_forbidden_trailer(name)) return {consumed, {}, {Rule::trailer_forbidden, name}};
  }
  state_ = State::done;
  return {consumed, {}, {}};
}

http::Fields ChunkedReader::take_trailers() {
  http::Fields fields;
  if (section_)
    for (auto const& field : section_->fields)
      fields.add(section_->view(field.name), section_->view(field.value));
  section_.reset();
  return fields;
}

}  // namespace millrace::http1
