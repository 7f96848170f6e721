// UDP under the patterns that have no connections to place.
#include "millrace/server/datagram_server.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>
#include <set>
#include <thread>

#include "net/full_kernel.hpp"

namespace millrace::server {
namespace {

TEST(DatagramServer, TakesOrRefusesEveryPattern) {
  std::set<std::string> taken;
  for (auto const& recipe : exec::recipes()) {
    DatagramServerOptions options;
    options.recipe = recipe;
    auto const status = DatagramServer::check(options);
    if (status) {
      taken.insert(recipe.name);
      continue;
    }
    EXPECT_NE(status.error().detail.find("no connections"), std::string::npos) << recipe.name;
  }
  EXPECT_TRUE(taken.contains("single_thread"));
  EXPECT_TRUE(taken.contains("reuseport_shards"));
}

// Answers on a thread of its own, when it is told to.
class Later final : public DatagramHandler {
 public:
  Form form() const override { return Form::later; }
  Outcome handle(base::ByteView, const net::Endpoint&, std::string&) override {
    return Outcome::failed;
  }
  void begin(std::unique_ptr<DatagramCall> call) override {
    std::lock_guard const guard(lock);
    calls.push_back(std::move(call));
  }
  std::size_t begun() {
    std::lock_guard const guard(lock);
    return calls.size();
  }
  std::mutex lock;
  std::vector<std::unique_ptr<DatagramCall>> calls;
};

TEST(DatagramServer, TakesAnswersThatComeLaterAndThoseThatComeTooLate) {
  DatagramServerOptions options;
  options.calls = 2;
  Later later;
  auto server = std::make_unique<DatagramServer>(options, later, nullptr, nullptr);
  ASSERT_TRUE(server->listen());
  server->run_loops();
  ASSERT_TRUE(server->accept());
  auto const& at = server->endpoints().front();
  int const client = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::connect(client, at.address(), at.size), 0);
  for (auto const* text : {"1", "2", "3"}) ASSERT_EQ(::send(client, text, 1, 0), 1);
  auto const& counters = server->loops()[0].counters();
  while (counters.datagrams_dropped.get() == 0) std::this_thread::yield();
  EXPECT_EQ(later.begun(), 2u);
  EXPECT_EQ(server->in_flight(), 2u);
  later.calls[1]->answer = "second";
  DatagramCall::finish_late(std::move(later.calls[1]), DatagramOutcome::answered);
  char answer[100];
  EXPECT_EQ(::recv(client, answer, sizeof answer, 0), 6);
  server->stop_accepting();
  EXPECT_EQ(server->drain(net::Reactor::clock()), 1u);
  server->stop_loops();
  server.reset();
  DatagramCall::finish_late(std::move(later.calls[0]), DatagramOutcome::answered);
  ::close(client);
}

// A running echo server, of which `answers` wait because the kernel has no room for them.
struct BlockedEcho {
  explicit BlockedEcho(const exec::Recipe& recipe, std::uint64_t answers = 3)
      : server({.recipe = recipe}, echo, nullptr, nullptr),
        client(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    testing::kernel_is_full = true;
    EXPECT_TRUE(server.listen());
    server.run_loops();
    EXPECT_TRUE(server.accept());
    auto const& at = server.endpoints().front();
    EXPECT_EQ(::connect(client, at.address(), at.size), 0);
    for (std::uint64_t i = 0; i < answers; ++i) EXPECT_EQ(::send(client, "hello", 5, 0), 5);
    while (total(&trace::LoopCounters::messages_in) < answers ||
           total(&trace::LoopCounters::writes_blocked) == 0 || server.in_flight() != answers)
      std::this_thread::yield();
    server.stop_accepting();
  }
  ~BlockedEcho() {
    testing::kernel_is_full = false;
    ::close(client);
  }
  std::uint64_t total(trace::Counter trace::LoopCounters::*counter) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < server.loops().size(); ++i)
      sum += (server.loops()[i].counters().*counter).get();
    return sum;
  }

  DatagramEcho echo;
  DatagramServer server;
  int client;
};

std::vector<exec::Recipe> recipes_for_datagrams() {
  auto const all = exec::recipes();
  std::vector<exec::Recipe> recipes(all.begin(), all.end());
  std::erase_if(recipes, [](const exec::Recipe& recipe) {
    return !DatagramServer::check({.recipe = recipe});
  });
  return recipes;
}

TEST(DatagramServer, WaitsForAnswersThatWaitForTheSendBuffer) {
  for (auto const& recipe : recipes_for_datagrams()) {
    SCOPED_TRACE(recipe.name);
    BlockedEcho blocked(recipe);
    EXPECT_EQ(blocked.server.drain(net::Reactor::clock()), 3u);
    testing::kernel_is_full = false;
    EXPECT_EQ(blocked.server.drain(net::Reactor::clock() + base::seconds(30)), 0u);
    blocked.server.stop_loops();
    EXPECT_EQ(blocked.total(&trace::LoopCounters::messages_out), 3u);
    EXPECT_EQ(blocked.total(&trace::LoopCounters::datagrams_dropped), 0u);
    char answer[100];
    for (int i = 0; i < 3; ++i) EXPECT_EQ(::recv(blocked.client, answer, sizeof answer, 0), 5);
  }
}

TEST(DatagramServer, CountsTheAnswersThatItsEndCutsOff) {
  for (auto const& recipe : recipes_for_datagrams()) {
    SCOPED_TRACE(recipe.name);
    BlockedEcho blocked(recipe);
    EXPECT_EQ(blocked.server.drain(net::Reactor::clock()), 3u);
    blocked.server.stop_loops();
    EXPECT_EQ(blocked.total(&trace::LoopCounters::messages_out), 0u);
    EXPECT_EQ(blocked.total(&trace::LoopCounters::datagrams_dropped), 3u);
    EXPECT_EQ(blocked.server.in_flight(), 0u);
  }
}

TEST(DatagramServer, ThatNeverRanLeavesNoPortBound) {
  DatagramEcho echo;
  DatagramServer first({}, echo, nullptr, nullptr);
  ASSERT_TRUE(first.listen());
  DatagramServer second({.bind = {first.endpoints().front().to_string()}}, echo, nullptr, nullptr);
  auto const refused = second.listen();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Errc::address_in_use);
  first.stop_loops();
  EXPECT_TRUE(second.listen());
}

TEST(DatagramServer, KeepsNoMoreOfABurstThanOneReadBrings) {
  DatagramServerOptions options;
  options.datagrams.batch = 1;
  Later later;
  DatagramServer server(options, later, nullptr, nullptr);
  ASSERT_TRUE(server.listen());
  server.run_loops();
  ASSERT_TRUE(server.accept());
  auto const& at = server.endpoints().front();
  int const client = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::connect(client, at.address(), at.size), 0);
  // How many of three calls have room for `room` bytes, after they were begun with `size`.
  auto const with_room = [&](std::size_t size, std::size_t room) {
    std::string const text(size, 'x');
    for (int i = 0; i < 3; ++i) EXPECT_EQ(::send(client, text.data(), size, 0), ssize_t(size));
    while (later.begun() < 3) std::this_thread::yield();
    std::lock_guard const guard(later.lock);
    int count = 0;
    for (auto& call : later.calls) {
      count += call->datagram.capacity() >= room;
      DatagramCall::finish_late(std::move(call), DatagramOutcome::silent);
    }
    later.calls.clear();
    while (server.in_flight() > 0) std::this_thread::yield();
    return count;
  };
  EXPECT_EQ(with_room(1000, 1000), 3);
  EXPECT_EQ(with_room(100, 1000), 1);
  EXPECT_EQ(with_room(60'000, 60'000), 3);
  EXPECT_EQ(with_room(100, 4096), 0);
  server.stop_loops();
  ::close(client);
}

TEST(DatagramServer, EchoesUnderEveryPatternItTakes) {
  for (auto const& recipe : exec::recipes()) {
    DatagramServerOptions options;
    options.recipe = recipe;
    if (!DatagramServer::check(options)) continue;
    DatagramEcho echo;
    DatagramServer server(options, echo, nullptr, nullptr);
    ASSERT_TRUE(server.listen()) << recipe.name;
    server.run_loops();
    ASSERT_TRUE(server.accept()) << recipe.name;
    auto const& at = server.endpoints().front();
    for (int i = 0; i < 8; ++i) {  // each from a port of its own, for the shards
      int const client = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      ASSERT_EQ(::connect(client, at.address(), at.size), 0);
      auto const text = "hello " + std::to_string(i);
      ASSERT_EQ(::send(client, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
      char answer[100];
      auto const size = ::recv(client, answer, sizeof answer, 0);
      EXPECT_EQ(std::string(answer, static_cast<std::size_t>(std::max<ssize_t>(size, 0))), text)
          << recipe.name;
      ::close(client);
    }
    server.stop_accepting();
    server.stop_loops();
  }
}

}  // namespace
}  // namespace millrace::server
