// What makes a message refused: one table that the checks name, the answers come from and the tests
// walk.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "millrace/base/error.hpp"

namespace millrace::http1 {

enum class Rule : std::uint8_t {
  none,
  // Bytes of a head.
  line_end,
  nul_byte,
  head_size,
  field_count,
  // Start line.
  request_line,
  method,
  target_size,
  target,
  version,
  status_line,
  // Fields.
  field_line,
  line_folding,
  space_before_colon,
  field_name,
  field_value,
  host_missing,
  host_repeated,
  host_form,
  expectation,
  // Framing.
  length_form,
  length_repeated,
  length_beside_coding,
  coding_in_http10,
  coding_unknown,
  coding_order,
  coding_without_body,
  connect_with_body,
  // Chunks.
  chunk_size,
  chunk_extension,
  chunk_line_size,
  chunk_end,
  trailer_size,
  trailer_forbidden,
  // The conversation.
  unasked_response,
  unasked_upgrade,
  interim_count,
  cut_short,
  // Time.
  header_time,
  body_time,
  idle_time,
  count_,
};

struct RuleRow {
  Rule rule;
  std::string_view says;  // what the peer has to keep; for people
  base::Errc code;
  std::string_view clause;
  std::uint16_t status;  // a server's answer; 0 where it gives none
};

inline constexpr std::array rule_table = [] {
  using enum base::Errc;
  return std::array{
      RuleRow{Rule::none, "", malformed_message, "", 0},
      RuleRow{Rule::line_end, "a line ends in CR LF, and neither stands alone", bad_line_end,
              "RFC 9112 2.2", 400},
      RuleRow{Rule::nul_byte, "no NUL in a head", malformed_message, "RFC 9110 5.5", 400},
      RuleRow{Rule::head_size, "a head within head_bytes", head_too_large, "RFC 6585 5", 431},
      RuleRow{Rule::field_count, "no more fields than field_count", too_many_fields, "RFC 6585 5",
              431},
      RuleRow{Rule::request_line, "method, target and version, one space between them",
              malformed_message, "RFC 9112 3", 400},
      RuleRow{Rule::method, "a method is a token", malformed_message, "RFC 9110 9.1", 400},
      RuleRow{Rule::target_size, "a target within target_bytes", target_too_long, "RFC 9112 3",
              414},
      RuleRow{Rule::target, "a target is a well-formed path or URI that the method may use",
              bad_target, "RFC 9112 3.2", 400},
      RuleRow{Rule::version, "HTTP/1.0 or HTTP/1.1", bad_version, "RFC 9112 2.3", 505},
      RuleRow{Rule::status_line, "version, three digits and a reason, one space between them",
              malformed_message, "RFC 9112 4", 400},
      RuleRow{Rule::field_line, "a field is a name, a colon and a value", malformed_message,
              "RFC 9112 5", 400},
      RuleRow{Rule::line_folding, "a field stands on one line", malformed_message, "RFC 9112 5.2",
              400},
      RuleRow{Rule::space_before_colon, "no space between a name and its colon", malformed_message,
              "RFC 9112 5.1", 400},
      RuleRow{Rule::field_name, "a field name is a token", malformed_message, "RFC 9110 5.1", 400},
      RuleRow{Rule::field_value, "no control bytes in a field value", malformed_message,
              "RFC 9110 5.5", 400},
      RuleRow{Rule::host_missing, "a request has a Host", bad_host, "RFC 9112 3.2", 400},
      RuleRow{Rule::host_repeated, "a request has one Host", bad_host, "RFC 9112 3.2", 400},
      RuleRow{Rule::host_form, "Host is a name or address, then perhaps a port", bad_host,
              "RFC 9112 3.2", 400},
      RuleRow{Rule::expectation, "the only expectation is 100-continue", malformed_message,
              "RFC 9110 10.1.1", 417},
      RuleRow{Rule::length_form, "Content-Length is one decimal number", malformed_message,
              "RFC 9110 8.6", 400},
      RuleRow{Rule::length_repeated, "one Content-Length", conflicting_framing, "RFC 9112 6.3",
              400},
      RuleRow{Rule::length_beside_coding, "no Content-Length beside Transfer-Encoding",
              conflicting_framing, "RFC 9112 6.3", 400},
      RuleRow{Rule::coding_in_http10, "no Transfer-Encoding in HTTP/1.0", conflicting_framing,
              "RFC 9112 6.1", 400},
      RuleRow{Rule::coding_unknown, "the only transfer coding is chunked",
              unsupported_transfer_coding, "RFC 9112 6.1", 501},
      RuleRow{Rule::coding_order, "chunked comes once, and last", conflicting_framing,
              "RFC 9112 6.3", 400},
      RuleRow{Rule::coding_without_body, "no Transfer-Encoding where there is no body",
              conflicting_framing, "RFC 9112 6.1", 400},
      RuleRow{Rule::connect_with_body, "CONNECT has no body", conflicting_framing, "RFC 9110 9.3.6",
              400},
      RuleRow{Rule::chunk_size, "a chunk size is a hexadecimal number", bad_chunk, "RFC 9112 7.1",
              400},
      RuleRow{Rule::chunk_extension, "a chunk extension is a name, perhaps with a value", bad_chunk,
              "RFC 9112 7.1.1", 400},
      RuleRow{Rule::chunk_line_size, "a chunk line within chunk_line_bytes", bad_chunk,
              "RFC 9112 7.1.1", 400},
      RuleRow{Rule::chunk_end, "a chunk ends in CR LF", bad_chunk, "RFC 9112 7.1", 400},
      RuleRow{Rule::trailer_size, "a trailer section within trailer_bytes", head_too_large,
              "RFC 6585 5", 431},
      RuleRow{Rule::trailer_forbidden, "no framing, routing or credentials in trailers",
              malformed_message, "RFC 9110 6.5.1", 400},
      RuleRow{Rule::unasked_response, "a response answers a request", unexpected_message,
              "RFC 9112 9.2", 0},
      RuleRow{Rule::unasked_upgrade, "a switch of protocol was asked for", unexpected_message,
              "RFC 9110 7.8", 0},
      RuleRow{Rule::interim_count, "few interim responses", unexpected_message, "RFC 9110 15.2", 0},
      RuleRow{Rule::cut_short, "a message is sent to its end", incomplete_message, "RFC 9112 8",
              400},
      RuleRow{Rule::header_time, "a head within header_timeout", header_timeout, "RFC 9110 15.5.9",
              408},
      RuleRow{Rule::body_time, "a body within body_timeout and at min_body_rate", body_timeout,
              "RFC 9110 15.5.9", 408},
      RuleRow{Rule::idle_time, "a request within idle_timeout", idle_timeout, "RFC 9112 9.5", 0},
  };
}();

constexpr bool rules_are_in_order() {
  for (std::size_t i = 0; i < rule_table.size(); ++i)
    if (rule_table[i].rule != static_cast<Rule>(i)) return false;
  return rule_table.size() == static_cast<std::size_t>(Rule::count_);
}
static_assert(rules_are_in_order(), "one row per Rule, in its order");

constexpr const RuleRow& describe(Rule rule) { return rule_table[static_cast<std::size_t>(rule)]; }

// The outcome of a check. False as a condition means that all is well.
struct Breach {
  Rule rule = Rule::none;
  std::string_view seen{};  // what broke the rule; lies in the bytes that were checked
  explicit operator bool() const { return rule != Rule::none; }
};

}  // namespace millrace::http1
