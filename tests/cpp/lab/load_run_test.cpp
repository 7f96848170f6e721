// Load runs against servers that answer by a script, over real sockets. Runs under the thread
// sanitizer too.
#include "millrace/lab/load_run.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <thread>

#include "lab/scripted_server.hpp"

namespace millrace::lab {
namespace {

using base::Errc;
using testing::ScriptedServer;

// Long enough for a sanitizer on a busy machine; nothing waits so long that goes right.
constexpr base::Duration patience = base::seconds(60);

LoadOptions requests(std::uint64_t count, std::size_t connections = 4) {
  LoadOptions options;
  options.connections = connections;
  options.pace.requests = count;
  options.pace.duration = 0;
  return options;
}

LoadResult run(const std::string& url, const LoadOptions& options) {
  auto made = LoadRun::make(url, options);
  EXPECT_TRUE(made) << made.error().message();
  EXPECT_TRUE((*made)->start());
  EXPECT_TRUE((*made)->wait(patience));
  auto result = (*made)->result();
  EXPECT_TRUE(result) << result.error().message();
  return std::move(*result);
}

ScriptedServer::Script always(std::string bytes, bool closes = false) {
  return
      [answer = ScriptedServer::Answer{std::move(bytes), closes}](std::uint64_t) { return answer; };
}

using Errors = std::map<std::string, std::uint64_t, std::less<>>;
using Statuses = std::map<int, std::uint64_t>;

TEST(LoadRun, CountsEveryRequestThatTheServerCounts) {
  ScriptedServer const server(always(ScriptedServer::ok("hello")));
  auto options = requests(1'000, 8);
  options.threads = 2;
  auto const result = run(server.url(), options);
  EXPECT_EQ(result.requests, 1'000U);
  EXPECT_EQ(server.requests(), 1'000U);
  EXPECT_EQ(server.connections(), 8U);
  EXPECT_EQ(result.errors, Errors{});
  EXPECT_EQ(result.statuses, (Statuses{{200, 1'000}}));
  EXPECT_EQ(result.latency.count(), 1'000U);
  EXPECT_EQ(result.ttfb.count(), 1'000U);
  EXPECT_EQ(result.connect.count(), 8U);
  EXPECT_EQ(result.intended.count(), 0U) << "a closed loop has no intended times";
  EXPECT_EQ(result.bytes_in, 1'000 * ScriptedServer::ok("hello").size());
  EXPECT_GT(result.bytes_out, 1'000U * 16);
  EXPECT_GT(result.cpu, 0);
  EXPECT_GT(result.elapsed, 0);
}

TEST(LoadRun, CountsEveryRequestOfAnOpenLoop) {
  ScriptedServer const server(always(ScriptedServer::ok("hello")));
  for (auto const spacing : {Spacing::constant, Spacing::poisson}) {
    auto options = requests(500);
    options.pace.rate = 5'000;
    options.pace.spacing = spacing;
    auto const result = run(server.url(), options);
    EXPECT_EQ(result.requests, 500U);
    EXPECT_EQ(result.latency.count(), 500U);
    EXPECT_EQ(result.intended.count(), 500U);
    EXPECT_GE(result.intended.percentile(50), result.latency.percentile(0));
    EXPECT_EQ(result.unsent, 0U);
    // The last of 500 was due after 499 gaps, and none is sent before it is due.
    if (spacing == Spacing::constant) {
      EXPECT_GE(result.elapsed, base::microseconds(499 * 200));
    }
  }
  EXPECT_EQ(server.requests(), 1'000U);
}

// The server stands still once, for all connections. Few requests are under way then and see it
// from their send; all that were due meanwhile see it from when they should have been sent.
TEST(LoadRun, ShowsAStallInTheIntendedTimesOfAllThatWereDue) {
  constexpr auto stall = base::milliseconds(300), late = base::milliseconds(50);
  constexpr std::uint64_t connections = 4;
  std::mutex one_at_a_time;
  ScriptedServer const server([&](std::uint64_t ordinal) {
    std::lock_guard const guard(one_at_a_time);
    if (ordinal == 300) std::this_thread::sleep_for(std::chrono::nanoseconds(stall));
    return ScriptedServer::Answer{ScriptedServer::ok("x")};
  });
  auto options = requests(1'000, connections);
  options.pace.rate = 1'000;
  auto const result = run(server.url(), options);
  ASSERT_EQ(result.requests, 1'000U);
  auto const from_send = result.latency.count_above(late);
  auto const from_due = result.intended.count_above(late);
  EXPECT_GE(from_send, 1U);
  EXPECT_LE(from_send, 2 * connections);
  // One was due per millisecond, and those of the first 250 ms were late by more than 50.
  EXPECT_GE(from_due, 240U);
  EXPECT_GT(from_due, 10 * from_send);
  EXPECT_GT(result.intended.percentile(90), base::milliseconds(100));
  EXPECT_LT(result.latency.percentile(90), late);
}

TEST(LoadRun, ConnectsAnewWhenTheServerCloses) {
  ScriptedServer const server(always(ScriptedServer::ok("x", "Connection: close\r\n"), true));
  auto const result = run(server.url(), requests(50, 4));
  EXPECT_EQ(result.requests, 50U);
  EXPECT_EQ(result.errors, Errors{});
  EXPECT_EQ(server.connections(), result.reconnects + 4);
  EXPECT_GE(result.reconnects, 46U);
  EXPECT_LE(result.reconnects, 50U);
}

TEST(LoadRun, CountsAnswersByStatusAndInterimOnesBesides) {
  ScriptedServer const server([](std::uint64_t ordinal) -> ScriptedServer::Answer {
    auto const early = std::string("HTTP/1.1 103 Early Hints\r\n\r\n");
    auto const busy = std::string("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    return {ordinal % 4 == 0 ? busy : early + ScriptedServer::ok("x")};
  });
  auto const result = run(server.url(), requests(40, 1));
  EXPECT_EQ(result.requests, 40U);
  EXPECT_EQ(result.statuses, (Statuses{{103, 30}, {200, 30}, {503, 10}}));
  EXPECT_EQ(result.errors, Errors{});
}

TEST(LoadRun, NamesWhatWentWrongPerRequest) {
  struct Row {
    std::string bytes;
    std::string_view kind;
  };
  for (auto const& row : {
           Row{"", "incomplete_message"},
           Row{"HTTP/1.1 200 OK\r\nContent-Le", "incomplete_message"},
           Row{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "incomplete_message"},
           Row{"SSH-2.0-OpenSSH_9\r\n\r\n", "malformed_message"},
           Row{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
               "conflicting_framing"},
       }) {
    SCOPED_TRACE(row.bytes);
    ScriptedServer const server(always(row.bytes, true));
    auto const result = run(server.url(), requests(3, 1));
    EXPECT_EQ(result.requests, 0U);
    EXPECT_EQ(result.errors, (Errors{{std::string(row.kind), 3}}));
    EXPECT_EQ(result.latency.count(), 0U);
  }
}

TEST(LoadRun, ComparesBodiesWhereAsked) {
  ScriptedServer const server([](std::uint64_t ordinal) -> ScriptedServer::Answer {
    constexpr std::array<std::string_view, 5> bodies{"hello", "hell", "hello!", "jello", ""};
    return {ScriptedServer::ok(bodies[ordinal % bodies.size()])};
  });
  auto options = requests(50, 1);
  options.request.expect_body = "hello";
  auto const result = run(server.url(), options);
  EXPECT_EQ(result.requests, 10U);
  EXPECT_EQ(result.errors, (Errors{{"unexpected_body", 40}}));
}

TEST(LoadRun, GivesUpOnAnAnswerAfterItsTimeout) {
  ScriptedServer const silent(always(""));
  auto options = requests(2, 1);
  options.timeout = base::milliseconds(30);
  EXPECT_EQ(run(silent.url(), options).errors, (Errors{{"header_timeout", 2}}));

  ScriptedServer const half(always("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"));
  EXPECT_EQ(run(half.url(), options).errors, (Errors{{"body_timeout", 2}}));
}

TEST(LoadRun, ReportsAServerThatIsNotThereAsAnError) {
  std::string url;
  {
    ScriptedServer const gone(always(""));
    url = gone.url();
  }
  auto made = LoadRun::make(url, requests(10));
  ASSERT_TRUE(made);
  ASSERT_TRUE((*made)->start());
  ASSERT_TRUE((*made)->wait(patience));
  auto const result = (*made)->result();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::connection_refused);
}

TEST(LoadRun, LeavesOutWhatWasSentToWarmUp) {
  ScriptedServer const server(always(ScriptedServer::ok("x")));
  auto options = requests(20, 2);
  options.pace.warmup = base::milliseconds(50);
  auto const result = run(server.url(), options);
  EXPECT_EQ(result.requests, 20U);
  EXPECT_EQ(result.latency.count(), 20U);
  EXPECT_GT(server.requests(), 20U);
}

TEST(LoadRun, EndsAfterItsDuration) {
  ScriptedServer const server(always(ScriptedServer::ok("x")));
  LoadOptions options;
  options.connections = 2;
  options.pace.duration = base::milliseconds(100);
  auto const result = run(server.url(), options);
  EXPECT_GT(result.requests, 0U);
  EXPECT_EQ(result.requests, server.requests());
  EXPECT_GE(result.elapsed, base::milliseconds(100));
}

// One connection, a server that takes longer than the gaps: what could not be sent is said, not
// hidden.
TEST(LoadRun, CountsWhatWasDueAndNeverSent) {
  ScriptedServer const server([](std::uint64_t) -> ScriptedServer::Answer {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return {ScriptedServer::ok("x")};
  });
  LoadOptions options;
  options.connections = 1;
  options.pace.rate = 1'000;
  options.pace.duration = base::milliseconds(200);
  auto const result = run(server.url(), options);
  EXPECT_LE(result.requests, 12U);
  EXPECT_EQ(result.requests + result.unsent, 200U);
}

TEST(LoadRun, StopsAtOnceAndAnswersMeanwhile) {
  ScriptedServer const server(always(ScriptedServer::ok("x")));
  LoadOptions options;
  options.connections = 4;
  options.threads = 2;
  options.pace.duration = base::seconds(3'600);
  auto made = LoadRun::make(server.url(), options);
  ASSERT_TRUE(made);
  auto& load = **made;
  ASSERT_TRUE(load.start());
  EXPECT_FALSE(load.start()) << "a run starts once";
  while (load.progress().requests < 100) EXPECT_FALSE(load.wait(base::milliseconds(1)));
  EXPECT_TRUE(load.result());
  EXPECT_LE(load.progress().in_flight, 4U);
  load.stop();
  EXPECT_TRUE(load.wait(patience));
  auto const result = load.result();
  ASSERT_TRUE(result);
  EXPECT_GE(result.value().requests, 90U);
  auto const elapsed = load.progress().elapsed;
  EXPECT_FALSE(load.wait(0) && load.progress().elapsed != elapsed) << "its clock goes on";
}

TEST(LoadRun, IsDroppedWhileItRuns) {
  ScriptedServer const server(always(ScriptedServer::ok("x")));
  LoadOptions options;
  options.pace.duration = base::seconds(3'600);
  for (bool const starts : {false, true}) {
    auto made = LoadRun::make(server.url(), options);
    ASSERT_TRUE(made);
    if (starts) {
      EXPECT_TRUE((*made)->start());
    }
  }
}

// The first address of a name may be one that nobody listens on: "localhost" is ::1 as well.
TEST(LoadRun, TriesTheNextAddressOfAName) {
  ScriptedServer const server(always(ScriptedServer::ok("x")));
  auto const port = server.url().substr(server.url().rfind(':'));
  auto const result = run("http://localhost" + port, requests(10, 3));
  EXPECT_EQ(result.requests, 10U);
  EXPECT_EQ(result.errors, Errors{});
}

TEST(LoadRun, AsksForHeadsWithoutWaitingForBodies) {
  ScriptedServer const head(always("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
  auto options = requests(10, 2);
  options.request.method = "HEAD";
  EXPECT_EQ(run(head.url(), options).requests, 10U);
}

}  // namespace
}  // namespace millrace::lab
