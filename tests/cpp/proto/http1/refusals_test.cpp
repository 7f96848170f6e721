// What is told of a refusal, and the table of rules. Their examples are the corpus.
#include <gtest/gtest.h>

#include "proto/play.hpp"

#include "millrace/proto/http1/rules.hpp"

namespace millrace::test {
namespace {

using http1::Rule;

std::string with_line(std::string_view line) { return std::string(line) + "\r\nHost: a\r\n\r\n"; }
std::string chunked(std::string_view body) {
  return "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(body);
}

TEST(Refusals, AreToldOnceWithWhatWasReadOfTheRequestLine) {
  for (auto const& [text, told] : std::vector<std::pair<std::string, std::string>>{
           {with_line("GET /a HTTP/1.1") + "GET /b HTTP/1.1\r\n\r\n", "0 400 GET /b HTTP/1.1"},
           {with_line("GET /a HTTP/7.0"), "0 505 GET /a HTTP/7.0"},
           {"\rX", "0 400 nothing"},
           {chunked("x"), "0 400 POST / HTTP/1.1"},  // cut there, the head would have been told
           {chunked("1\r\nax"), "1 400 nothing"},
           {with_line("GET /a HTTP/1.1"), ""}}) {
    Owner owner(proto::Side::server, answer_all);
    owner.feed(text);
    EXPECT_EQ(owner.refused, told);
    EXPECT_FALSE(owner.codec->next_event());
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

}  // namespace
}  // namespace millrace::test
