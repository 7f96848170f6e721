// Every request of the corpus, cut in two at every byte, with another request behind it.
#include "proto/http1/corpus.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "proto/play.hpp"

#include "millrace/proto/http1/rules.hpp"

namespace millrace::test {
namespace {

using http1::Rule;

// What hangs on the end of each: the request that would be smuggled, or is the next one.
constexpr std::string_view behind = "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n";

// Every way to cut a request in two. Of a long one only its ends, and some in between: what lies
// there is alike.
std::vector<std::vector<ByteView>> cuts_of(ByteView text) {
  constexpr std::size_t end = 150;
  constexpr std::size_t step = 509;
  if (text.size() < 1000) return cuts(text);
  std::vector<std::vector<ByteView>> some;
  for (std::size_t at = 0; at <= text.size(); ++at)
    if (at < end || at + end > text.size() || at % step == 0)
      some.push_back({text.substr(0, at), text.substr(at)});
  return some;
}

// An application that notes what it is told and answers when it knows all of it.
struct Notes {
  std::vector<std::string> requests;
  bool heard_of_one = false;

  void operator()(Owner& owner, const http::Event& event) {
    bool is_over = std::holds_alternative<http::End>(event.what);
    if (auto const* head = std::get_if<http::HeadReceived>(&event.what)) {
      heard_of_one = true;
      note_ = std::string(head->head.method_text()) + ' ' + std::string(head->head.path());
      if (!head->head.query().empty()) note_ += '?' + std::string(head->head.query());
      note_ += " @" + std::string(head->head.authority()) + '\n';
      status_ = head->head.method() == http::Method::connect ? 404 : 200;
      is_over = head->ends_stream;
      if (!is_over) owner.say(event.stream, unlimited());
    } else if (auto const* data = std::get_if<http::Data>(&event.what)) {
      note_ += data->bytes.view();
    }
    if (!is_over) return;
    requests.push_back(note_);
    owner.say(event.stream, response(status_, "answer"));
  }

 private:
  std::string note_;
  std::uint16_t status_ = 0;
};

// 100 (Continue) apart.
std::size_t answers_in(std::string_view output) {
  std::size_t count = 0;
  for (auto at = output.find("HTTP/1.1 "); at != std::string_view::npos;
       at = output.find("HTTP/1.1 ", at + 1))
    count += output.substr(at).starts_with("HTTP/1.1 100 ") ? 0U : 1U;
  return count;
}

std::string described(const Case& one, const std::vector<ByteView>& cut) {
  return one.file + ": " + one.name + ", " + where(cut);
}

void play(Owner& owner, const std::vector<ByteView>& cut) {
  for (auto const piece : cut)
    if (!owner.has_failed()) owner.feed(piece);
  if (!owner.has_failed()) owner.feed(behind);
}

void expect_refused(const Case& one, const std::vector<ByteView>& cut) {
  Notes notes;
  Owner owner(proto::Side::server, std::ref(notes));
  play(owner, cut);
  ASSERT_TRUE(owner.has_failed());
  ASSERT_TRUE(owner.error->detail.starts_with(one.rule)) << owner.error->detail;
  auto const status = "HTTP/1.1 " + std::to_string(one.status) + ' ';
  ASSERT_TRUE(owner.output.starts_with(status)) << owner.output;
  ASSERT_EQ(answers_in(owner.output), 1U) << owner.output;
  ASSERT_NE(owner.output.find("\r\nConnection: close\r\n"), std::string::npos);
  ASSERT_NE(owner.output.find("\r\nContent-Length: "), std::string::npos);
  ASSERT_EQ(owner.codec->afterwards(), proto::Afterwards::close_lingering);
  ASSERT_TRUE(notes.requests.empty()) << notes.requests.front();
  // No head that breaks a rule reaches the application.
  ASSERT_TRUE(one.in_body || !notes.heard_of_one) << owner.events;
  // Those who keep a record are told, with the request line as far as it was read.
  auto const told = (notes.heard_of_one ? "1 " : "0 ") + std::to_string(one.status) + ' ';
  ASSERT_TRUE(owner.refused.starts_with(told)) << owner.refused;
  auto const line = owner.refused.substr(told.size());
  auto const sent = one.request.substr(one.request.starts_with("\r\n") ? 2 : 0);
  ASSERT_TRUE(sent.starts_with(line) || line == "nothing") << line;
  // Deaf from now on.
  auto taken = owner.codec->receive(behind, 0);
  ASSERT_TRUE(taken && *taken == behind.size());
  ASSERT_FALSE(owner.codec->next_event());
}

void expect_accepted(const Case& one, const std::vector<ByteView>& cut) {
  Notes notes;
  Owner owner(proto::Side::server, std::ref(notes));
  play(owner, cut);
  ASSERT_FALSE(owner.has_failed()) << owner.error->message();
  std::vector<std::string> expected{one.seen + " @" + one.authority + '\n' + one.body};
  if (!one.closes) expected.emplace_back("GET /behind @a\n");
  ASSERT_EQ(notes.requests, expected);
  ASSERT_EQ(answers_in(owner.output), expected.size()) << owner.output;
  ASSERT_TRUE(owner.pending.empty());
  ASSERT_EQ(owner.codec->afterwards() == proto::Afterwards::go_on, !one.closes);
}

TEST(Corpus, IsRefusedOrAcceptedAtEveryCut) {
  for (auto const& one : corpus())
    for (auto const& cut : cuts_of(one.request)) {
      SCOPED_TRACE(described(one, cut));
      one.is_accepted() ? expect_accepted(one, cut) : expect_refused(one, cut);
      if (testing::Test::HasFatalFailure()) break;  // of one request one cut says enough
    }
}

TEST(Corpus, HasHundredsOfRulesAndTheirNeighbours) {
  std::size_t accepted = 0;
  std::set<std::string> names;
  for (auto const& one : corpus()) {
    accepted += one.is_accepted() ? 1U : 0U;
    EXPECT_TRUE(names.insert(one.file + one.name).second) << one.file << ": " << one.name;
    EXPECT_TRUE(one.clause.starts_with("RFC ")) << one.name;
    EXPECT_FALSE(one.why.empty()) << one.name;
  }
  EXPECT_GE(corpus().size() - accepted, 300U);
  EXPECT_GE(accepted, 100U);
}

TEST(Corpus, HasAnExampleForEveryRuleThatAServerAnswers) {
  std::set<std::string, std::less<>> shown;
  for (auto const& one : corpus()) shown.insert(one.rule);
  for (auto const& row : http1::rule_table) {
    // These are about responses, or about what does not come, and shown in tests of their own.
    using enum Rule;
    static const std::set<Rule> elsewhere{status_line, coding_without_body, cut_short, header_time,
                                          body_time};
    if (row.status == 0 || elsewhere.contains(row.rule)) continue;
    EXPECT_TRUE(shown.contains(row.says)) << row.says;
  }
}

}  // namespace
}  // namespace millrace::test
