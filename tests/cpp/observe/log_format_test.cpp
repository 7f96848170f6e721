#include "millrace/observe/log_format.hpp"

#include <gtest/gtest.h>

#include <clocale>

#include "observe/requests.hpp"

#include "millrace/observe/access_log.hpp"
#include "millrace/observe/slow_log.hpp"

namespace millrace::observe {
namespace {

std::time_t wall_clock = 0;

class LogLine : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    wall_clock = 1'795'262'400;  // 2026-11-21 12:00:00 UTC
    stamps.stamp(trace::Moment::ready, 1'000);
    stamps.stamp(trace::Moment::written, 1'000 + base::microseconds(1'234'567));
    words.target_text = "/users/7?full=1";
    words.route_text = "/users/{id}";
    words.fields = {{"referer", "http://a.example/"}, {"user-agent", "curl/8"}};
  }
  std::string line(std::string_view format) {
    auto compiled = LogFormat::parse(format);
    EXPECT_TRUE(compiled) << compiled.error().detail;
    std::string out;
    compiled->write(out, done(stamps, bytes, status, words), clock);
    return out;
  }

  trace::Stamps stamps;
  ScriptedWords words;
  std::uint64_t bytes = 42;
  std::uint16_t status = 200;
  LogClock clock{[] { return wall_clock; }};
};

TEST_F(LogLine, IsWhatOtherServersWrite) {
  EXPECT_EQ(line("common"),
            "127.0.0.1 - - [21/Nov/2026:12:00:00 +0000] \"GET /users/7?full=1 HTTP/1.1\" 200 42\n");
  EXPECT_EQ(line("combined"),
            "127.0.0.1 - - [21/Nov/2026:12:00:00 +0000] \"GET /users/7?full=1 HTTP/1.1\" 200 42 "
            "\"http://a.example/\" \"curl/8\"\n");
}

TEST_F(LogLine, FillsEveryDirective) {
  EXPECT_EQ(line("%h %a %l %u %s %>s %b %B %D %T %m %U %q %H %R %{User-Agent}i %% end"),
            "127.0.0.1 127.0.0.1 - - 200 200 42 42 1234567 1 GET /users/7 ?full=1 HTTP/1.1 "
            "/users/{id} curl/8 % end\n");
}

TEST_F(LogLine, HasADashForWhatIsNotThere) {
  words.client_text.clear();
  words.route_text = {};
  words.fields.clear();
  bytes = 0;
  EXPECT_EQ(line("%h %b %B %R %{Referer}i"), "- - 0 - -\n");
}

TEST_F(LogLine, HasWhatWasReadOfARequestThatWasRefused) {
  words.method_text.clear();
  words.target_text.clear();
  words.protocol_text.clear();
  EXPECT_EQ(line("%r|%m|%U|%q|%H"), "-|-|-||-\n");
  EXPECT_NE(line("json").find(R"("request_line":"")"), std::string::npos);
  words.unread_text = "GET \"\n";
  EXPECT_EQ(line("%r|%m"), "GET \\\"\\x0a|-\n");
  EXPECT_NE(line("json").find(R"("request_line":"GET \"\u000a")"), std::string::npos);
  words.unread_text = std::string(unread_line_most + 1, 'x');
  EXPECT_EQ(line("%r"), std::string(unread_line_most, 'x') + '\n');
}

TEST_F(LogLine, SaysThatTheClientLeft) {
  stamps.stamp(trace::Moment::written, 0);
  status = 0;
  EXPECT_EQ(line("%s"), "499\n");
  EXPECT_NE(line("json").find("\"status\":499"), std::string::npos);
  EXPECT_NE(line("json").find("\"complete\":false"), std::string::npos);
}

TEST_F(LogLine, CannotBeForgedByWhatAClientSends) {
  words.target_text = "/\"\\\n\r\t\x01\x7f\xc3\xa9";
  EXPECT_EQ(line("\"%U\""), "\"/\\\"\\\\\\x0a\\x0d\\x09\\x01\\x7f\\xc3\\xa9\"\n");
  words.fields["user-agent"] = "x\"\n127.0.0.1 - - [forged]";
  words.method_text = "G\nT";
  for (auto const* format : {"common", "combined", "json", "%m %r %{User-Agent}i"}) {
    auto const text = line(format);
    EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
  }
}

// Every byte, in every place: one line end, and no byte that is not printable ASCII.
TEST_F(LogLine, IsPrintableWhateverTheBytes) {
  for (int byte = 0; byte < 256; ++byte) {
    std::string const hostile = std::string("a") + static_cast<char>(byte) + "b";
    words.target_text = words.method_text = hostile;
    words.fields = {{"referer", hostile}, {"user-agent", hostile}};
    for (auto const* format : {"combined", "json", "%m %U %q %{Referer}i"}) {
      auto const text = line(format);
      for (std::size_t i = 0; i + 1 < text.size(); ++i)
        ASSERT_TRUE(text[i] >= 0x20 && text[i] < 0x7f) << byte << ": " << text;
      ASSERT_EQ(text.back(), '\n');
    }
  }
}

TEST_F(LogLine, IsAnObjectInJson) {
  EXPECT_EQ(line("json"),
            R"({"time":"2026-11-21T12:00:00Z","client":"127.0.0.1","method":"GET",)"
            R"("target":"/users/7?full=1","protocol":"HTTP/1.1","route":"/users/{id}",)"
            R"("status":200,"bytes":42,"duration_s":1.234567,"referer":"http://a.example/",)"
            R"("user_agent":"curl/8","complete":true})"
            "\n");
}

TEST_F(LogLine, FollowsTheClockForwardsAndBack) {
  EXPECT_EQ(line("%t"), "[21/Nov/2026:12:00:00 +0000]\n");
  wall_clock += 3'601;
  EXPECT_EQ(line("%t"), "[21/Nov/2026:13:00:01 +0000]\n");
  wall_clock -= 7'200;
  EXPECT_EQ(line("%t"), "[21/Nov/2026:11:00:01 +0000]\n");
}

// Whatever language the application has set, where the machine has another than English.
TEST_F(LogLine, NamesTheMonthsInEnglish) {
  std::string const before = std::setlocale(LC_TIME, nullptr);
  for (auto const* language : {"de_DE.UTF-8", "fr_FR.UTF-8", "es_ES.UTF-8", "ja_JP.UTF-8"})
    if (std::setlocale(LC_TIME, language)) break;
  std::string seen;
  for (int month = 0; month < 12; ++month) {
    std::tm day{};
    day.tm_year = 126;
    day.tm_mon = month;
    day.tm_mday = 1;
    wall_clock = ::timegm(&day);
    seen += line("%t").substr(4, 4);
  }
  std::setlocale(LC_TIME, before.c_str());
  EXPECT_EQ(seen, "Jan/Feb/Mar/Apr/May/Jun/Jul/Aug/Sep/Oct/Nov/Dec/");
}

TEST(LogFormat, RefusesWhatItDoesNotKnowByItsNameAndPlace) {
  for (auto const& [format, named] : std::initializer_list<std::pair<const char*, const char*>>{
           {"%h %Z", "'%Z' at position 4"},
           {"%{Referer}o", "'%{Referer}o' at position 1"},
           {"%{Referer", "'%{Referer' at position 1"},
           {"%{}i", "'%{}i' at position 1"},
           {"a %", "'%' at position 3"},
           {"comon", "'comon' at position 1"},
           {"", "'' at position 1"}}) {
    auto const parsed = LogFormat::parse(format);
    ASSERT_FALSE(parsed) << format;
    EXPECT_NE(parsed.error().detail.find(named), std::string::npos) << parsed.error().detail;
  }
  EXPECT_FALSE(LogFormat::parse("%h\n%r"));
}

TEST(AccessLog, PutsOneLinePerRequestIntoItsRing) {
  auto const lines = std::make_shared<LineQueue>(LineQueueOptions{.interval = 0});
  AccessLog log({*LogFormat::parse("%m %s"), lines});
  trace::Stamps stamps;
  stamps.stamp(trace::Moment::written, 1);
  log.record(done(stamps));
  log.record(done(stamps, 0, 404));
  EXPECT_EQ(lines->take(), "GET 200\nGET 404\n");
}

TEST(SlowLog, TellsOfRequestsFromTheThresholdOnAndCountsTheRest) {
  auto const lines = std::make_shared<LineQueue>(LineQueueOptions{.interval = 0});
  SlowLog log({.threshold = 1'000, .lines_per_second = 2, .lines = lines});
  auto const record = [&log](base::Time at, base::Duration lasted) {
    trace::Stamps stamps;
    stamps.stamp(trace::Moment::ready, at - lasted);
    stamps.stamp(trace::Moment::received, at - lasted + 10);
    stamps.stamp(trace::Moment::written, at);
    log.record(done(stamps));
  };
  auto const start = base::seconds(100);
  record(start, 999);
  record(start, 1'000);
  EXPECT_EQ(lines->take(),
            "{\"method\":\"GET\",\"target\":\"/\",\"status\":200,\"duration\":1000,"
            "\"suppressed\":0,\"stages\":{\"read\":10}}\n");
  for (int i = 0; i < 4; ++i) record(start, 2'000);
  EXPECT_EQ(lines->lines(), 2u);
  (void)lines->take();
  record(start + base::seconds(1), 2'000);
  EXPECT_NE(lines->take().find("\"suppressed\":3,"), std::string::npos);
}

TEST(SlowLog, TellsOfFiveRequestsPerSecondUnlessToldOtherwise) {
  auto const lines = std::make_shared<LineQueue>(LineQueueOptions{.interval = 0});
  SlowLog log({.lines = lines});
  trace::Stamps stamps;
  auto const end_at = [&](base::Time ended) { log.record({stamps, ended, 0, 200, plain_words}); };
  for (int i = 0; i < 6; ++i) end_at(base::seconds(100) + i * base::milliseconds(199));
  EXPECT_EQ(lines->lines(), 5u);
  EXPECT_EQ(lines->take().find("\"suppressed\":1"), std::string::npos);
  end_at(base::seconds(101));
  end_at(base::seconds(101));
  EXPECT_EQ(lines->lines(), 7u);
  auto const next = lines->take();
  EXPECT_LT(next.find("\"suppressed\":1,"), next.find("\"suppressed\":0,"));
}

}  // namespace
}  // namespace millrace::observe
