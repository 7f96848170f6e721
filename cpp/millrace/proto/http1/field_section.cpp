#include "millrace/proto/http1/field_section.hpp"

#include <llhttp.h>

namespace millrace::http1 {
namespace {

using base::ByteView;
using http::FieldId;
using http::HeadBlock;
using http::Span;

// What the parser's callbacks work on while one section is read.
struct Reading {
  HeadBlock& block;
  std::size_t most_fields;
};

Span span_in(const HeadBlock& block, const char* at, std::size_t size) {
  return {static_cast<std::uint32_t>(at - block.bytes.data()), static_cast<std::uint32_t>(size)};
}

// The section is contiguous, so that each name and each value comes whole, in one call.
int on_name(llhttp_t* parser, const char* at, std::size_t size) {
  auto& reading = *static_cast<Reading*>(parser->data);
  auto& fields = reading.block.fields;
  if (fields.size() == reading.most_fields) return HPE_USER;
  fields.push_back({.name = span_in(reading.block, at, size), .value = {}, .id = FieldId::other});
  return 0;
}
int on_value(llhttp_t* parser, const char* at, std::size_t size) {
  auto& reading = *static_cast<Reading*>(parser->data);
  if (!reading.block.fields.empty())
    reading.block.fields.back().value = span_in(reading.block, at, size);
  return 0;
}
int on_complete(llhttp_t*) { return HPE_PAUSED; }

const llhttp_settings_t& settings() {
  static const llhttp_settings_t made = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_header_field = on_name;
    s.on_header_value = on_value;
    s.on_headers_complete = on_complete;
    return s;
  }();
  return made;
}

// A parser that stands behind a request line. Start lines are read by stricter rules than llhttp
// has (and with methods that it does not know), so every section starts from a copy of this one,
// responses and trailers included.
const llhttp_t& parser_behind_start_line() {
  static const llhttp_t made = [] {
    constexpr ByteView line = "GET / HTTP/1.1\r\n";
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings());
    llhttp_execute(&parser, line.data(), line.size());
    return parser;
  }();
  return made;
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

ByteView line_at(ByteView text, std::size_t at) {
  auto const before = text.substr(0, at).rfind('\n');
  auto const begin = before == ByteView::npos ? 0 : before + 1;
  return text.substr(begin, text.find('\r', begin) - begin);
}

// Which rule a line breaks that llhttp refused, or that does not lie where it should.
Breach explain_line(ByteView line) {
  if (!line.empty() && is_blank(line.front())) return {Rule::line_folding, line};
  auto const colon = line.find(':');
  if (colon == ByteView::npos) return {Rule::field_line, line};
  auto const name = line.substr(0, colon);
  if (!name.empty() && is_blank(name.back())) return {Rule::space_before_colon, line};
  if (!http::is_token(name)) return {Rule::field_name, line};
  if (!http::is_field_value(line.substr(colon + 1))) return {Rule::field_value, line};
  return {Rule::field_line, line};
}

// The same for the line at `at`, which may be well-formed but for the line behind it.
Breach explain_at(ByteView text, std::size_t at) {
  auto const line = line_at(text, at);
  auto const breach = explain_line(line);
  auto const next = static_cast<std::size_t>(line.data() - text.data()) + line.size() + 2;
  if (breach.rule == Rule::field_line && next < text.size() && is_blank(text[next]))
    return {Rule::line_folding, line_at(text, next)};
  return breach;
}

bool has_field(const HeadBlock& block, FieldId id) {
  for (auto const& field : block.fields)
    if (http::identify(block.view(field.name)) == id) return true;
  return false;
}

Breach explain(const HeadBlock& block, std::size_t section_at, const llhttp_t& parser) {
  ByteView const text = block.bytes;
  auto const error = llhttp_get_errno(&parser);
  auto const* at = llhttp_get_error_pos(&parser);
  auto const offset = at ? static_cast<std::size_t>(at - text.data()) : section_at;
  auto const line = line_at(text, std::min(offset, text.size() - 1));
  if (error == HPE_USER) return {Rule::field_count, line};
  if (error == HPE_INVALID_CONTENT_LENGTH || error == HPE_UNEXPECTED_CONTENT_LENGTH ||
      error == HPE_INVALID_TRANSFER_ENCODING) {
    bool const has_coding = has_field(block, FieldId::transfer_encoding);
    if (has_coding && has_field(block, FieldId::content_length))
      return {Rule::length_beside_coding, line};
    if (error == HPE_INVALID_TRANSFER_ENCODING) return {Rule::coding_order, line};
    return {error == HPE_INVALID_CONTENT_LENGTH ? Rule::length_form : Rule::length_repeated, line};
  }
  return explain_line(line);
}

// llhttp accepts folded lines, empty names and more. Every field must lie on a line of its own,
// each right behind the one before, with nothing between its parts but the colon and optional white
// space.
Breach check_layout(HeadBlock& block, std::size_t at) {
  ByteView const text = block.bytes;
  for (auto& field : block.fields) {
    auto const colon = field.name.at + field.name.size;
    if (field.name.size == 0 || field.name.at != at || text[colon] != ':')
      return explain_at(text, at);
    auto value_at = colon + 1;
    while (is_blank(text[value_at])) ++value_at;
    auto value_end = field.value.size == 0 ? value_at : field.value.at + field.value.size;
    if (field.value.size != 0 && field.value.at != value_at) return explain_at(text, at);
    auto line_end = value_end;
    while (is_blank(text[line_end])) ++line_end;
    while (value_end > value_at && is_blank(text[value_end - 1])) --value_end;
    if (text[line_end] != '\r' || text[line_end + 1] != '\n') return explain_at(text, at);
    field.value = {value_at, value_end - value_at};
    field.id = http::identify(block.view(field.name));
    at = line_end + 2;
  }
  if (text.size() != at + 2) return explain_at(text, at);
  return {};
}

}  // namespace

Breach read_fields(HeadBlock& block, std::size_t at, std::size_t most_fields) {
  Reading reading{block, most_fields};
  llhttp_t parser = parser_behind_start_line();
  parser.data = &reading;
  if (llhttp_execute(&parser, block.bytes.data() + at, block.bytes.size() - at) != HPE_PAUSED)
    return explain(block, at, parser);
  return check_layout(block, at);
}

}  // namespace millrace::http1
