#include "millrace/proto/http1/field_section.hpp"

#include <llhttp.h>

#include <optional>

#include "millrace/proto/http/field_bytes.hpp"

namespace millrace::http1 {
namespace {

using base::ByteView;
using http::FieldId;
using http::HeadBlock;
using http::Span;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

Span span_of(std::size_t at, std::size_t end) {
  return {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(end - at)};
}

// Without its CR LF.
ByteView line_at(ByteView text, std::size_t at) {
  return text.substr(at, text.find('\r', at) - at);
}

int pause(llhttp_t*) { return HPE_PAUSED; }

// A parser that stands behind a request line. Start lines are read by stricter rules than llhttp
// has (and with methods that it does not know), so every section starts from a copy of this one,
// responses and trailers included.
const llhttp_t& parser_behind_start_line() {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_headers_complete = pause;
    return s;
  }();
  static const llhttp_t made = [] {
    constexpr ByteView line = "GET / HTTP/1.1\r\n";
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    llhttp_execute(&parser, line.data(), line.size());
    return parser;
  }();
  return made;
}

// llhttp's word on the fields that frame a message. It reads their lines alone, in their order: of
// no other does it refuse what is a well-formed field.
class FramingFields {
 public:
  explicit FramingFields(const HeadBlock& block) : block_(block) {}

  static bool has(FieldId id) { return (http::bit_of(id) & read_by_llhttp) != 0; }

  // `line` without what stands behind its value; its field is already in the block. llhttp takes no
  // tab between a length and its CR LF, which RFC 9112 5 allows.
  Breach read(ByteView line) {
    if (!parser_) parser_ = parser_behind_start_line();
    line_ = line;
    if (auto const breach = outcome(llhttp_execute(&*parser_, line.data(), line.size())))
      return breach;
    return outcome(llhttp_execute(&*parser_, "\r\n", 2));
  }

  // A line may go on behind its CR LF, so llhttp judges some of them only here.
  Breach end() {
    if (!parser_) return {};
    return outcome(llhttp_execute(&*parser_, "\r\n", 2));
  }

 private:
  static constexpr std::uint32_t read_by_llhttp =
      http::bit_of(FieldId::content_length) | http::bit_of(FieldId::transfer_encoding);

  Breach outcome(llhttp_errno_t error) const {
    if (error == HPE_OK || error == HPE_PAUSED) return {};
    bool has_length = false;
    bool has_coding = false;
    for (auto const& field : block_.fields) {
      has_length = has_length || field.id == FieldId::content_length;
      has_coding = has_coding || field.id == FieldId::transfer_encoding;
    }
    if (has_length && has_coding) return {Rule::length_beside_coding, line_};
    if (error == HPE_INVALID_TRANSFER_ENCODING) return {Rule::coding_order, line_};
    if (error == HPE_INVALID_CONTENT_LENGTH) return {Rule::length_form, line_};
    if (error == HPE_UNEXPECTED_CONTENT_LENGTH) return {Rule::length_repeated, line_};
    return {Rule::field_line, line_};
  }

  const HeadBlock& block_;
  std::optional<llhttp_t> parser_;  // none until there is such a line
  ByteView line_;
};

// Which rule a line breaks that does not begin with a name and a colon.
Breach explain_start(ByteView line) {
  if (is_blank(line.front())) return {Rule::line_folding, line};
  auto const colon = line.find(':');
  if (colon == ByteView::npos) return {Rule::field_line, line};
  bool const has_name = colon > 0;
  if (has_name && is_blank(line[colon - 1])) return {Rule::space_before_colon, line};
  return {Rule::field_name, line};
}

// field-line = field-name ":" OWS field-value OWS (RFC 9112 5), each on a line of its own.
Breach cut(HeadBlock& block, std::size_t at, std::size_t most_fields, FramingFields& framing) {
  ByteView const text = block.bytes;
  auto const from = [text](std::size_t begin) {
    return ByteView(text.data() + begin, text.size() - begin);
  };
  while (text[at] != '\r') {
    auto const colon = at + http::token_size(from(at));
    if (colon == at || text[colon] != ':') return explain_start(line_at(text, at));
    if (block.fields.size() == most_fields) return {Rule::field_count, line_at(text, at)};

    auto value_at = colon + 1;
    while (is_blank(text[value_at])) ++value_at;
    auto const line_end = value_at + http::value_size(from(value_at));
    if (text[line_end] != '\r') return {Rule::field_value, line_at(text, at)};
    auto value_end = line_end;
    while (value_end > value_at && is_blank(text[value_end - 1])) --value_end;
    auto const next = line_end + 2;
    if (is_blank(text[next])) return {Rule::line_folding, line_at(text, next)};

    auto const id = http::identify({text.data() + at, colon - at});
    block.fields.push_back(
        {.name = span_of(at, colon), .value = span_of(value_at, value_end), .id = id});
    if (FramingFields::has(id))
      if (auto const breach = framing.read({text.data() + at, value_end - at})) return breach;
    at = next;
  }
  return {};
}

}  // namespace

Breach read_fields(HeadBlock& block, std::size_t at, std::size_t most_fields) {
  FramingFields framing(block);
  auto const breach = cut(block, at, most_fields, framing);
  // What llhttp has still to say is of a line before the one that was refused.
  auto const earlier = framing.end();
  return earlier ? earlier : breach;
}

}  // namespace millrace::http1
