// Everything a server refuses: the table of rules, an example or more for each, and neighbours that
// pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "proto/play.hpp"

#include "millrace/proto/http1/start_line.hpp"

namespace millrace::test {
namespace {

using http1::Rule;
using namespace std::string_literals;

struct Refused {
  Rule rule;
  std::string text;
};

std::string with_fields(std::string_view fields) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}
std::string with_host(std::string_view host) {
  return "GET / HTTP/1.1\r\nHost:" + std::string(host) + "\r\n\r\n";
}
std::string with_line(std::string_view line) { return std::string(line) + "\r\nHost: a\r\n\r\n"; }
std::string chunked(std::string_view body) {
  return "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(body);
}
std::string many_fields(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += "a: b\r\n";
  return text;
}
std::string trailers_of(std::size_t bytes) {
  return "0\r\na: " + std::string(bytes - 5, 'x') + "\r\n\r\n";
}

http::Limits small_limits() {
  http::Limits limits;
  limits.target_bytes = 40;
  limits.head_bytes = 400;
  limits.field_count = 20;
  limits.chunk_line_bytes = 30;
  limits.trailer_bytes = 60;
  return limits;
}

const std::vector<Refused>& refused() {
  static const std::vector<Refused> rows{
      // Line ends.
      {Rule::line_end, "GET / HTTP/1.1\nHost: a\r\n\r\n"},
      {Rule::line_end, "GET / HTTP/1.1\r\nHost: a\n\r\n"},
      {Rule::line_end, "GET / HTTP/1.1\r\nHost: a\r\n\n"},
      {Rule::line_end, "GET / HTTP/1.1\nHost: a\n\n"},
      {Rule::line_end, "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"},
      {Rule::line_end, "GET / HTTP/1.1\r\nHost: a\rb: c\r\n\r\n"},
      {Rule::line_end, "GET / HTTP/1.1\r\nHost: a\r\nb: c\rd\r\n\r\n"},
      {Rule::line_end, "GET / HTTP/1.1\r\nHost: a\r\nb: c\nd\r\n\r\n"},
      {Rule::line_end, "GET /\rb HTTP/1.1\r\nHost: a\r\n\r\n"},
      {Rule::line_end, "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {Rule::line_end, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {Rule::nul_byte, "GET / HTTP/1.1\r\nHost: a\r\nb: c\0d\r\n\r\n"s},
      {Rule::nul_byte, "GET / HTTP/1.1\r\nHost: a\r\nb\0: c\r\n\r\n"s},
      {Rule::nul_byte, "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s},
      // The request line.
      {Rule::request_line, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {Rule::request_line, "GET /\r\n\r\n"},
      {Rule::request_line, "GET\r\n\r\n"},
      {Rule::request_line, "GET /\r\nHost: a\r\n\r\n"},
      {Rule::request_line, with_line("GET  / HTTP/1.1")},
      {Rule::request_line, with_line("GET /  HTTP/1.1")},
      {Rule::request_line, with_line("GET / HTTP/1.1 ")},
      {Rule::request_line, with_line("GET / HTTP/1.1 x")},
      {Rule::request_line, with_line(" GET / HTTP/1.1")},
      {Rule::request_line, with_line("GET\t/ HTTP/1.1")},
      {Rule::request_line, with_line("GET / a HTTP/1.1")},
      {Rule::request_line, with_line("GET HTTP/1.1")},
      {Rule::request_line, with_line("GET / http/1.1")},
      {Rule::request_line, with_line("GET / HTTP/1.10")},
      {Rule::request_line, with_line("GET / HTTP/11.1")},
      {Rule::request_line, with_line("GET / HTTP/1")},
      {Rule::request_line, with_line("GET / HTTP/1,1")},
      {Rule::request_line, with_line("GET / HTTP /1.1")},
      {Rule::request_line, with_line("GET / XTTP/1.1")},
      {Rule::request_line, with_line("DESCRIBE / RTSP/1.0")},
      {Rule::request_line, with_line("SOURCE / ICE/1.0")},
      {Rule::request_line, with_line("GET / HTTP/1.\xb9")},
      {Rule::method, with_line("G(T / HTTP/1.1")},
      {Rule::method, with_line("GET: / HTTP/1.1")},
      {Rule::method, with_line("G\x80T / HTTP/1.1")},
      {Rule::method, "\x16\x03\x01\x02\x01\x01"},  // a TLS handshake on a plain port
      {Rule::method, with_line(std::string(http1::method_bytes + 1, 'M') + " / HTTP/1.1")},
      {Rule::target_size, with_line("GET /" + std::string(40, 'x') + " HTTP/1.1")},
      {Rule::target_size, "GET /" + std::string(40, 'x')},
      {Rule::target_size, "GET /" + std::string(500, 'x')},
      {Rule::version, with_line("GET / HTTP/0.9")},
      {Rule::version, with_line("GET / HTTP/1.2")},
      {Rule::version, with_line("GET / HTTP/2.0")},
      {Rule::version, with_line("GET / HTTP/3.0")},
      {Rule::version, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      // The target.
      {Rule::target, with_line("GET /a\tb HTTP/1.1")},
      {Rule::target, with_line("GET /a\x01 HTTP/1.1")},
      {Rule::target, with_line("GET /a\x7f HTTP/1.1")},
      {Rule::target, with_line("GET /\xc3\xa9 HTTP/1.1")},
      {Rule::target, with_line("GET /a#b HTTP/1.1")},
      {Rule::target, with_line("GET /?a#b HTTP/1.1")},
      {Rule::target, with_line("GET /%4 HTTP/1.1")},
      {Rule::target, with_line("GET /%zz HTTP/1.1")},
      {Rule::target, with_line("GET /% HTTP/1.1")},
      {Rule::target, with_line("GET /?q=% HTTP/1.1")},
      {Rule::target, with_line("GET /?q=%4 HTTP/1.1")},
      {Rule::target, with_line("GET /a%00b HTTP/1.1")},
      {Rule::target, with_line("GET * HTTP/1.1")},
      {Rule::target, with_line("GET a HTTP/1.1")},
      {Rule::target, with_line("GET a:80 HTTP/1.1")},
      {Rule::target, with_line("GET ftp://a/ HTTP/1.1")},
      {Rule::target, with_line("GET http:/// HTTP/1.1")},
      {Rule::target, with_line("GET http://u@a/ HTTP/1.1")},
      {Rule::target, with_line("GET http://a:b/ HTTP/1.1")},
      {Rule::target, with_line("OPTIONS ** HTTP/1.1")},
      {Rule::target, with_line("CONNECT / HTTP/1.1")},
      {Rule::target, with_line("CONNECT a HTTP/1.1")},
      {Rule::target, with_line("CONNECT a: HTTP/1.1")},
      {Rule::target, with_line("CONNECT http://a:80 HTTP/1.1")},
      // Fields.
      {Rule::head_size, "GET / HTTP/1.1\r\nHost: a\r\nb: " + std::string(500, 'x')},
      {Rule::head_size,
       std::string("GET / HTTP/1.1\r\nHost: a\r\nb: ") + std::string(400 - 30, 'x') + "\r\n\r\n"},
      {Rule::field_count, with_fields(many_fields(20))},
      {Rule::field_line, with_fields("ab\r\n")},
      {Rule::line_folding, with_fields("a: b\r\n c\r\n")},
      {Rule::line_folding, with_fields("a: b\r\n\tc\r\n")},
      {Rule::line_folding, with_fields("a: b\r\n \r\n")},
      {Rule::line_folding, with_fields("a:\r\n b\r\n")},
      {Rule::line_folding, "GET / HTTP/1.1\r\n \r\n\r\n"},
      {Rule::line_folding, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
      {Rule::line_folding, "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"},
      {Rule::line_folding, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 3\r\n\r\nabc"},
      {Rule::line_folding, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n"},
      {Rule::space_before_colon, with_fields("a : b\r\n")},
      {Rule::space_before_colon, with_fields("a\t: b\r\n")},
      {Rule::space_before_colon, with_fields("Content-Length : 3\r\n")},
      {Rule::space_before_colon, with_fields("Transfer-Encoding : chunked\r\n")},
      {Rule::field_name, with_fields(": b\r\n")},
      {Rule::field_name, with_fields("a b: c\r\n")},
      {Rule::field_name, with_fields("a(b): c\r\n")},
      {Rule::field_name, with_fields("a\x01: c\r\n")},
      {Rule::field_name, with_fields("\xc3\xa9: c\r\n")},
      {Rule::field_name, with_fields("a\"b: c\r\n")},
      {Rule::field_value, with_fields("a: b\x01\r\n")},
      {Rule::field_value, with_fields("a: \x0b"
                                      "chunked\r\n")},
      {Rule::field_value, with_fields("a: b\x7f\r\n")},
      {Rule::field_value, with_fields("a: \x1b[0m\r\n")},
      // Host.
      {Rule::host_missing, "GET / HTTP/1.1\r\n\r\n"},
      {Rule::host_missing, "GET http://a/ HTTP/1.1\r\n\r\n"},
      {Rule::host_missing, "GET / HTTP/1.1\r\nHostess: a\r\n\r\n"},
      {Rule::host_repeated, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
      {Rule::host_repeated, "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"},
      {Rule::host_form, with_host("")},
      {Rule::host_form, with_host(" a b")},
      {Rule::host_form, with_host(" a/b")},
      {Rule::host_form, with_host(" a,b:c")},
      {Rule::host_form, with_host(" u@a")},
      {Rule::host_form, with_host(" a:80:80")},
      {Rule::host_form, with_host(" a:x")},
      {Rule::host_form, with_host(" a:65536")},
      {Rule::host_form, with_host(" :80")},
      {Rule::host_form, with_host(" [::1")},
      {Rule::host_form, with_host(" [::1]x")},
      {Rule::host_form, with_host(" [1:2]")},
      {Rule::host_form, with_host(" [::g]")},
      {Rule::host_form, with_host(" ::1")},
      {Rule::host_form, with_host(" a\\b")},
      {Rule::host_form, with_host(" a%4")},
      {Rule::expectation, with_fields("Content-Length: 1\r\nExpect: 101-continue\r\n")},
      {Rule::expectation, with_fields("Expect: x\r\n")},
      {Rule::expectation, with_fields("Expect:\r\n")},
      // Framing.
      {Rule::length_form, with_fields("Content-Length: +3\r\n")},
      {Rule::length_form, with_fields("Content-Length: -3\r\n")},
      {Rule::length_form, with_fields("Content-Length: 0x3\r\n")},
      {Rule::length_form, with_fields("Content-Length: 3a\r\n")},
      {Rule::length_form, with_fields("Content-Length: 3 3\r\n")},
      {Rule::length_form, with_fields("Content-Length: 3, 3\r\n")},
      {Rule::length_form, with_fields("Content-Length: 3,\r\n")},
      {Rule::length_form, with_fields("Content-Length:\r\n")},
      {Rule::length_form, with_fields("Content-Length: 3.0\r\n")},
      {Rule::length_form, with_fields("Content-Length: 9223372036854775808\r\n")},
      {Rule::length_form, with_fields("Content-Length: 18446744073709551617\r\n")},
      {Rule::length_form, with_fields("Content-Length: 99999999999999999999999\r\n")},
      {Rule::length_repeated, with_fields("Content-Length: 3\r\nContent-Length: 3\r\n")},
      {Rule::length_repeated, with_fields("Content-Length: 3\r\ncontent-length: 4\r\n")},
      {Rule::length_beside_coding,
       with_fields("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n")},
      {Rule::length_beside_coding,
       with_fields("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n")},
      {Rule::length_beside_coding,
       with_fields("Transfer-Encoding: chunked\r\na: b\r\nContent-Length: 0\r\n")},
      {Rule::coding_in_http10, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {Rule::coding_unknown, with_fields("Transfer-Encoding: gzip\r\n")},
      {Rule::coding_unknown, with_fields("Transfer-Encoding: gzip, chunked\r\n")},
      {Rule::coding_unknown, with_fields("Transfer-Encoding: identity\r\n")},
      {Rule::coding_unknown, with_fields("Transfer-Encoding: xchunked\r\n")},
      {Rule::coding_unknown, with_fields("Transfer-Encoding: chunked;q=1\r\n")},
      {Rule::coding_unknown, with_fields("Transfer-Encoding: \"chunked\"\r\n")},
      {Rule::coding_order, with_fields("Transfer-Encoding: chunked, chunked\r\n")},
      {Rule::coding_order,
       with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
      {Rule::coding_order, with_fields("Transfer-Encoding: chunked, gzip\r\n")},
      {Rule::coding_order, with_fields("Transfer-Encoding:\r\n")},
      {Rule::coding_order, with_fields("Transfer-Encoding: ,chunked\r\n")},
      {Rule::coding_order, with_fields("Transfer-Encoding: chunked,\r\n")},
      {Rule::connect_with_body, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"},
      {Rule::connect_with_body,
       "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
      // Chunks.
      {Rule::chunk_size, chunked("x\r\n")},
      {Rule::chunk_size, chunked("\r\n")},
      {Rule::chunk_size, chunked(" 3\r\nabc\r\n0\r\n\r\n")},
      {Rule::chunk_size, chunked("+3\r\nabc\r\n0\r\n\r\n")},
      {Rule::chunk_size, chunked("-1\r\n")},
      {Rule::chunk_size, chunked("0x3\r\nabc\r\n0\r\n\r\n")},
      {Rule::chunk_size, chunked("3_\r\n")},
      {Rule::chunk_size, chunked("3\n")},
      {Rule::chunk_size, chunked("8000000000000000\r\n")},
      {Rule::chunk_size, chunked("10000000000000003\r\nabc")},
      {Rule::chunk_size, chunked(";a=b\r\n")},
      {Rule::chunk_size, chunked("3\r\nabc\r\n\r\n0\r\n\r\n")},
      {Rule::chunk_size, chunked("3\r\nabc\r\n;a\r\n")},
      {Rule::line_end, chunked("3\rx")},
      {Rule::line_end, chunked("3;a\rx")},
      {Rule::chunk_extension, chunked("3 \r\nabc\r\n0\r\n\r\n")},
      {Rule::chunk_extension, chunked("3\t\r\nabc\r\n0\r\n\r\n")},
      {Rule::chunk_extension, chunked("3 3\r\n")},
      {Rule::chunk_extension, chunked("3;\r\nabc\r\n0\r\n\r\n")},
      {Rule::chunk_extension, chunked("3;;a\r\n")},
      {Rule::chunk_extension, chunked("3;=b\r\n")},
      {Rule::chunk_extension, chunked("3;a=\r\n")},
      {Rule::chunk_extension, chunked("3;a=b \r\n")},
      {Rule::chunk_extension, chunked("3;a =b c\r\n")},
      {Rule::chunk_extension, chunked("3;a=\"b\r\n")},
      {Rule::chunk_extension, chunked("3;a=\"b\"c\r\n")},
      {Rule::chunk_extension, chunked("3;a=\"b\\\x01\"\r\n")},
      {Rule::chunk_extension, chunked("3;a\nabc\r\n0\r\n\r\n")},
      {Rule::chunk_extension, chunked("3;a\x80=b\r\n")},
      {Rule::chunk_line_size, chunked(std::string(31, '0') + "\r\n")},
      {Rule::chunk_line_size, chunked("3;" + std::string(29, 'a') + "\r\n")},
      {Rule::chunk_end, chunked("3\r\nabcd\r\n")},
      {Rule::chunk_end, chunked("3\r\nabc0\r\n")},
      {Rule::chunk_end, chunked("3\r\nabc\n0\r\n\r\n")},
      {Rule::chunk_end, chunked("3\r\nabc\r0\r\n\r\n")},
      // Trailers.
      {Rule::line_end, chunked("0\r\n\n")},
      {Rule::line_end, chunked("0\r\n\rx")},
      {Rule::line_end, chunked("0\r\na: b\n\r\n")},
      {Rule::nul_byte, chunked("0\r\na: \0\r\n\r\n"s)},
      {Rule::line_folding, chunked("0\r\na: b\r\n c\r\n\r\n")},
      {Rule::field_name, chunked("0\r\n: b\r\n\r\n")},
      {Rule::space_before_colon, chunked("0\r\na : b\r\n\r\n")},
      {Rule::field_value, chunked("0\r\na: \x01\r\n\r\n")},
      {Rule::field_count, chunked("0\r\n" + many_fields(10) + "\r\n")},
      {Rule::trailer_size, chunked(trailers_of(61))},
      {Rule::trailer_forbidden, chunked("0\r\nContent-Length: 3\r\n\r\n")},
      {Rule::trailer_forbidden, chunked("0\r\nhost: b\r\n\r\n")},
      {Rule::trailer_forbidden, chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n")},
      {Rule::trailer_forbidden, chunked("0\r\na: b\r\nAuthorization: x\r\n\r\n")},
  };
  return rows;
}

http::Limits limits_for(Rule rule, std::string_view text) {
  auto limits = small_limits();
  // Two rows need a limit to be nearer, or farther, than the others.
  if (rule == Rule::field_count && text.find("chunked") != std::string_view::npos)
    limits.field_count = 9;
  if (rule == Rule::head_size) limits.head_bytes = 399;
  if (rule == Rule::method) limits.head_bytes = 4000;
  return limits;
}

TEST(Refusals, ComeFromEveryExampleAtEveryCut) {
  for (auto const& row : refused()) {
    auto const& expected = http1::describe(row.rule);
    auto const limits = limits_for(row.rule, row.text);
    for (auto const& cut : cuts(row.text)) {
      SCOPED_TRACE(row.text + "\n" + where(cut));
      Owner owner(proto::Side::server, answer_all, limits);
      for (auto const piece : cut)
        if (!owner.has_failed()) owner.feed(piece);
      ASSERT_TRUE(owner.has_failed());
      ASSERT_EQ(owner.error->rule, expected.clause) << owner.error->detail;
      ASSERT_EQ(owner.error->code, expected.code) << owner.error->detail;
      ASSERT_EQ(owner.error->detail.substr(0, expected.says.size()), expected.says);
      auto const status = "HTTP/1.1 " + std::to_string(expected.status) + ' ';
      ASSERT_EQ(owner.output.substr(0, status.size()), status);
      ASSERT_NE(owner.output.find("\r\nConnection: close\r\n"), std::string::npos);
      ASSERT_NE(owner.output.find("\r\nContent-Length: "), std::string::npos);
      ASSERT_EQ(owner.codec->afterwards(), proto::Afterwards::close_lingering);
      ASSERT_EQ(owner.events.find("answer"), std::string::npos);
      // No head that breaks a rule reaches the application.
      bool const is_in_body = row.text.find("chunked\r\n\r\n") != std::string::npos &&
                              row.text.back() != '\0' &&
                              owner.events.starts_with("1 POST / @a body\n");
      ASSERT_TRUE(owner.events.empty() || is_in_body) << owner.events;
      // Those who keep a record are told.
      auto const told =
          (owner.events.empty() ? "0 " : "1 ") + std::to_string(expected.status) + ' ';
      ASSERT_TRUE(owner.refused.starts_with(told)) << owner.refused;
      auto const line = owner.refused.substr(told.size());
      ASSERT_TRUE(row.text.starts_with(line) || line == "nothing") << line;
    }
  }
}

TEST(Refusals, AreToldOnceWithWhatWasReadOfTheRequestLine) {
  auto const limits = small_limits();
  for (auto const& [text, told] : std::vector<std::pair<std::string, std::string>>{
           {with_line("GET /a HTTP/1.1") + "GET /b HTTP/1.1\r\n\r\n", "0 400 GET /b HTTP/1.1"},
           {with_line("GET /a HTTP/7.0"), "0 505 GET /a HTTP/7.0"},
           {"\rX", "0 400 nothing"},
           {chunked("x"), "0 400 POST / HTTP/1.1"},  // cut there, the head would have been told
           {chunked("1\r\nax"), "1 400 nothing"},
           {with_line("GET /a HTTP/1.1"), ""}}) {
    Owner owner(proto::Side::server, answer_all, limits);
    owner.feed(text);
    EXPECT_EQ(owner.refused, told);
    EXPECT_FALSE(owner.codec->next_event());
  }
}

TEST(Refusals, HaveAnExampleForEveryRuleThatAServerAnswers) {
  std::set<Rule> shown;
  for (auto const& row : refused()) shown.insert(row.rule);
  for (auto const& row : http1::rule_table) {
    // These are about responses, or shown in tests of their own.
    using enum Rule;
    static const std::set<Rule> elsewhere{status_line, coding_without_body, cut_short, header_time,
                                          body_time};
    if (row.status == 0 || elsewhere.contains(row.rule)) continue;
    EXPECT_TRUE(shown.contains(row.rule)) << row.says;
  }
}

TEST(RuleTable, HasASentenceAndAClauseForEveryRule) {
  for (auto const& row : http1::rule_table) {
    if (row.rule == Rule::none) continue;
    EXPECT_FALSE(row.says.empty());
    EXPECT_TRUE(row.clause.starts_with("RFC ")) << row.says;
  }
}

TEST(RuleTable, AnswersWhatTheKindOfErrorSays) {
  for (auto const& row : http1::rule_table)
    if (row.status != 0 && row.rule != Rule::expectation) {
      EXPECT_EQ(row.status, http::status_for(row.code)) << row.says;
    }
}

// What stands right beside a refused example and is fine.
const std::vector<std::string>& accepted() {
  static const std::vector<std::string> rows{
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost:a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n",
      with_line("G!#$%&'*+-.^_`|~9 / HTTP/1.1"),
      with_line(std::string(http1::method_bytes, 'M') + " / HTTP/1.1"),
      with_line("PRI / HTTP/1.1"),
      with_line("SOURCE / HTTP/1.1"),
      with_line("DESCRIBE / HTTP/1.1"),
      with_line("GET /" + std::string(39, 'x') + " HTTP/1.1"),
      with_line("GET /%41?%42 HTTP/1.1"),
      with_line("GET /?a=%00 HTTP/1.1"),
      with_line("GET /?q={}|\"<>^`\\ HTTP/1.1"),
      with_line("GET http://b/ HTTP/1.1"),
      with_line("GET HTTPS://b:443?q HTTP/1.1"),
      with_line("OPTIONS * HTTP/1.1"),
      with_line("CONNECT a:80 HTTP/1.1"),
      with_line("CONNECT [::1]:80 HTTP/1.1"),
      with_fields(many_fields(19)),
      with_fields("a:\r\n"),
      with_fields("a: \xc3\xa9\r\n"),
      with_fields("a: b\tc\r\n"),
      with_fields("a: \r\n"),
      with_host(" a:80"),
      with_host(" a:"),
      with_host(" a:65535"),
      with_host(" a.b-c_d~e"),
      with_host(" 127.0.0.1:8080"),
      with_host(" [::1]"),
      with_host(" [::1]:8080"),
      with_host(" [2001:db8::1.2.3.4]"),
      with_host(" a%41"),
      with_fields("Content-Length: 0\r\n"),
      with_fields("Content-Length: 3\r\n") + "abc",
      with_fields("Content-Length: 0003\r\n") + "abc",
      with_fields("Content-Length: 3 \r\n") + "abc",
      with_fields("Content-Length: 3\r\nExpect: 100-Continue\r\n") + "abc",
      "POST / HTTP/1.0\r\nContent-Length: 3\r\nExpect: x\r\n\r\nabc",
      with_fields("Transfer-Encoding: CHUNKED \r\n") + "0\r\n\r\n",
      chunked("0\r\n\r\n"),
      chunked("3\r\nabc\r\n0\r\n\r\n"),
      chunked("003\r\nabc\r\n00\r\n\r\n"),
      chunked("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
      chunked("3;a\r\nabc\r\n0;b=c\r\n\r\n"),
      chunked("3 ; a = b ;c\t=\t\"d\\\"\xe9\"\r\nabc\r\n0\r\n\r\n"),
      chunked(std::string(29, '0') + "3\r\nabc\r\n0\r\n\r\n"),
      chunked("3;" + std::string(28, 'a') + "\r\nabc\r\n0\r\n\r\n"),
      chunked("0\r\na: b\r\nc:\r\n\r\n"),
      chunked(trailers_of(58)),
      "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
  };
  return rows;
}

TEST(Refusals, DoNotMeetTheirNeighboursAtAnyCut) {
  auto limits = small_limits();
  for (auto const& text : accepted()) {
    std::string whole;
    for (auto const& cut : cuts(text)) {
      SCOPED_TRACE(text + "\n" + where(cut));
      Owner owner(proto::Side::server, answer_all, limits);
      for (auto const piece : cut) owner.feed(piece);
      ASSERT_FALSE(owner.has_failed()) << owner.error->message();
      bool const is_tunnel = text.starts_with("CONNECT");
      ASSERT_TRUE(is_tunnel || owner.output.ends_with("answer 1")) << owner.output;
      if (whole.empty()) whole = owner.events;
      ASSERT_EQ(owner.events, whole);
      ASSERT_TRUE(owner.pending.empty());
    }
  }
}

}  // namespace
}  // namespace millrace::test
