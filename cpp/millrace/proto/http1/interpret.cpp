// What a whole head means: framing, persistence, Host and expectations (RFC 9112 3.2, 6.3, 9.3; RFC
// 9110 10.1.1).
#include <limits>

#include "millrace/proto/http/status.hpp"
#include "millrace/proto/http/target.hpp"
#include "millrace/proto/http/text.hpp"
#include "millrace/proto/http1/head_reader.hpp"

namespace millrace::http1 {
namespace {

using base::ByteView;
using http::FieldId;
using http::HeadBlock;
using http::Span;

// What the fields of one head say, before it is known what they say together.
struct Facts {
  Span host{};
  int hosts = 0;
  std::optional<std::uint64_t> length;
  bool has_coding = false;
  bool is_chunked = false;
  bool says_close = false;
  bool says_keep_alive = false;
  bool says_upgrade = false;
  bool has_upgrade = false;
  bool expects_continue = false;
  ByteView other_expectation{};
};

void read_connection(Facts& facts, ByteView list) {
  while (!list.empty()) {
    auto const option = http::take_member(list);
    if (http::equals_ignoring_case(option, "keep-alive")) facts.says_keep_alive = true;
    if (http::equals_ignoring_case(option, "close")) facts.says_close = true;
    if (http::equals_ignoring_case(option, "upgrade")) facts.says_upgrade = true;
  }
}

Breach read_length(Facts& facts, ByteView text) {
  if (facts.length) return {Rule::length_repeated, text};
  std::uint64_t value = 0;
  // Half of what fits, so that sums with small numbers cannot overflow.
  constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
  for (char c : text) {
    auto const digit = static_cast<std::uint64_t>(c) - '0';
    if (c < '0' || c > '9' || value > (most - digit) / 10) return {Rule::length_form, text};
    value = value * 10 + digit;
  }
  if (text.empty()) return {Rule::length_form, text};
  facts.length = value;
  return {};
}

// Several fields make one list (RFC 9110 5.3). Empty members could hide a coding from a laxer
// reader.
Breach read_coding(Facts& facts, ByteView text) {
  facts.has_coding = true;
  auto list = text;
  do {
    auto const coding = http::take_member(list);
    if (facts.is_chunked || coding.empty()) return {Rule::coding_order, text};
    if (!http::equals_ignoring_case(coding, "chunked")) return {Rule::coding_unknown, text};
    facts.is_chunked = true;
  } while (!list.empty());
  return text.back() == ',' ? Breach{Rule::coding_order, text} : Breach{};
}

Breach read_field(Facts& facts, const HeadBlock& block, const HeadBlock::Field& field) {
  auto const value = block.view(field.value);
  switch (field.id) {
    case FieldId::host:
      facts.host = field.value;
      ++facts.hosts;
      return {};
    case FieldId::content_length:
      return read_length(facts, value);
    case FieldId::transfer_encoding:
      return read_coding(facts, value);
    case FieldId::connection:
      read_connection(facts, value);
      return {};
    case FieldId::expect:
      if (http::equals_ignoring_case(value, "100-continue")) {
        facts.expects_continue = true;
      } else {
        facts.other_expectation = value.empty() ? ByteView("(empty)") : value;
      }
      return {};
    case FieldId::upgrade:
      facts.has_upgrade = facts.has_upgrade || !value.empty();
      return {};
    case FieldId::other:
    case FieldId::keep_alive:
    case FieldId::date:
    case FieldId::trailer:
    case FieldId::te:
    case FieldId::content_type:
    case FieldId::server:
      return {};
  }
  return {};
}

Breach read_facts(HeadBlock& block, Facts& facts) {
  for (auto const& field : block.fields) {
    if (field.id == FieldId::other) continue;
    if (auto const breach = read_field(facts, block, field)) return breach;
  }
  bool const is_http11 = block.version_minor == 1;
  if (facts.has_coding && facts.length) return {Rule::length_beside_coding, {}};
  if (facts.has_coding && !is_http11) return {Rule::coding_in_http10, {}};
  block.content_length = facts.length;
  block.keep_alive = !facts.says_close && (is_http11 || facts.says_keep_alive);
  // RFC 9110 7.8: upgrades are HTTP/1.1's, and both fields have to say it.
  block.wants_upgrade = is_http11 && facts.says_upgrade && facts.has_upgrade;
  return {};
}

Breach check_host(const HeadBlock& block, const Facts& facts) {
  if (facts.hosts == 0) return block.version_minor == 0 ? Breach{} : Breach{Rule::host_missing, {}};
  if (facts.hosts > 1) return {Rule::host_repeated, block.view(facts.host)};
  auto const host = block.view(facts.host);
  return http::is_authority(host) ? Breach{} : Breach{Rule::host_form, host};
}

}  // namespace

Breach interpret_request(HeadBlock& block, Framing& framing) {
  Facts facts;
  if (auto const breach = read_facts(block, facts)) return breach;
  if (auto const breach = check_host(block, facts)) return breach;
  // RFC 9112 3.2.2: an absolute-form target overrides Host; read_target replaces this.
  block.authority = facts.host;
  if (!http::read_target(block)) return {Rule::target, block.view(block.target)};

  framing = facts.is_chunked               ? Framing::chunked
            : facts.length.value_or(0) > 0 ? Framing::length
                                           : Framing::none;
  block.has_body = framing != Framing::none;
  if (block.method == http::Method::connect && block.has_body) return {Rule::connect_with_body, {}};
  if (block.version_minor == 0) return {};  // RFC 9110 10.1.1: expectations of HTTP/1.0 are ignored
  if (!facts.other_expectation.empty()) return {Rule::expectation, facts.other_expectation};
  block.expects_continue = facts.expects_continue && block.has_body;
  return {};
}

Breach interpret_response(HeadBlock& block, http::Method asked, Framing& framing) {
  Facts facts;
  if (auto const breach = read_facts(block, facts)) return breach;
  bool const opens_tunnel =
      asked == http::Method::connect && block.status >= 200 && block.status < 300;
  bool const is_bare = http::is_interim(block.status) || block.status == 204;
  // RFC 9112 6.1 forbids a coding there, and a reader that obeyed it would see another message than
  // we do.
  if (facts.has_coding && (is_bare || opens_tunnel)) return {Rule::coding_without_body, {}};

  framing = Framing::until_close;
  if (facts.is_chunked) framing = Framing::chunked;
  if (facts.length) framing = *facts.length > 0 ? Framing::length : Framing::none;
  if (asked == http::Method::head || opens_tunnel || http::is_always_bodiless(block.status))
    framing = Framing::none;
  block.has_body = framing != Framing::none;
  if (framing == Framing::until_close) block.keep_alive = false;
  return {};
}

}  // namespace millrace::http1
