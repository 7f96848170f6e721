// Plain TCP over real sockets, under every row of the table of patterns. Runs under the thread
// sanitizer too.
#include "millrace/server/stream_server.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <latch>
#include <thread>

#include "running_host.hpp"

namespace millrace::server {
namespace {

using conn::Conversation;

// A blocking client that hears a known number of bytes.
class Client {
 public:
  explicit Client(const net::Endpoint& to)
      : descriptor_(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    int const small = 64 * 1024;
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    EXPECT_EQ(::connect(descriptor_, to.address(), to.size), 0) << strerror(errno);
  }
  Client(const Client&) = delete;
  ~Client() { ::close(descriptor_); }
  void say(std::string_view text) {
    while (!text.empty()) {
      auto const n = ::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n < 0) return;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  void end() { ::shutdown(descriptor_, SHUT_WR); }
  std::string hear(std::size_t bytes) {
    std::string heard(bytes, '\0');
    auto const n = ::recv(descriptor_, heard.data(), bytes, MSG_WAITALL);
    heard.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return heard;
  }
  // "" for a proper end, "reset" for the other kind.
  std::string hear_end() {
    char byte;
    auto const n = ::recv(descriptor_, &byte, 1, 0);
    return n == 0 ? "" : n < 0 ? "reset" : "a byte";
  }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

struct Made {
  std::unique_ptr<StreamServer> server;
};

class Running : public Made, public RunningHost {
 public:
  Running(const exec::Recipe& recipe, StreamHandler& handler,
          const std::function<void(StreamServerOptions&)>& adjust = {})
      : Made{make(recipe, handler, adjust)}, RunningHost(server->host()) {}
  void wait_until_closed() const {
    while (server->host().connections() > 0) std::this_thread::yield();
  }

 private:
  static std::unique_ptr<StreamServer> make(
      const exec::Recipe& recipe, StreamHandler& handler,
      const std::function<void(StreamServerOptions&)>& adjust) {
    StreamServerOptions options;
    options.recipe = recipe;
    if (adjust) adjust(options);
    return std::make_unique<StreamServer>(options, handler, nullptr, nullptr);
  }
};

// Answers "slow" only when its gate opens, fails at "fail", echoes everything else.
class Gated final : public StreamHandler {
 public:
  Form form() const override { return Form::each_message; }
  bool handle(Conversation& conversation, base::ByteView message) override {
    if (message == "fail") return false;
    if (message == "slow") gate.wait();
    return static_cast<bool>(conversation.write_copy(message));
  }
  void begin(Conversation&) override {}
  std::latch gate{1};
};

constexpr framing::Framing lines{.kind = framing::Kind::lines, .max_bytes = 8};
void with_lines(StreamServerOptions& options) { options.stream.framing = lines; }

class EveryPatternOfTcp : public ::testing::TestWithParam<exec::Recipe> {};
INSTANTIATE_TEST_SUITE_P(Recipes, EveryPatternOfTcp,
                         ::testing::ValuesIn(exec::recipes().begin(), exec::recipes().end()),
                         recipe_name);

TEST_P(EveryPatternOfTcp, EchoesEveryConnectionInOrder) {
  Echo echo;
  Running const running(GetParam(), echo);
  constexpr int clients = 12, messages = 30;
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int c = 0; c < clients; ++c) {
    threads.emplace_back([&, c] {
      Client client(running.at());
      for (int m = 0; m < messages; ++m) {
        auto const text = std::to_string(c) + ":" + std::to_string(m);
        client.say(text);
        if (client.hear(text.size()) == text) ++right;
      }
      client.end();
      EXPECT_EQ(client.hear_end(), "");
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right.load(), clients * messages);
  running.wait_until_closed();
  EXPECT_EQ(running.total(&trace::LoopCounters::messages_in), std::uint64_t{clients} * messages);
  EXPECT_EQ(running.total(&trace::LoopCounters::messages_out), std::uint64_t{clients} * messages);
  EXPECT_EQ(running.total(&trace::LoopCounters::bytes_in),
            running.total(&trace::LoopCounters::bytes_out));
  EXPECT_EQ(running.total(&trace::LoopCounters::connections_open), 0u);
}

TEST_P(EveryPatternOfTcp, HoldsBackAPeerThatReadsNothingAndLosesNoByte) {
  Echo echo;
  Running const running(GetParam(), echo);
  Client client(running.at());
  std::string sent;
  for (int i = 0; sent.size() < 20'000'000; ++i) sent += std::to_string(i) + ' ';
  std::thread talker([&] {
    client.say(sent);
    client.end();
  });
  // More than all buffers between them hold: the server's own fill up, then the client's.
  while (running.total(&trace::LoopCounters::partial_writes) == 0) std::this_thread::yield();
  pollfd writable{.fd = client.descriptor(), .events = POLLOUT, .revents = 0};
  while (::poll(&writable, 1, 50) > 0) {
  }
  auto const heard = client.hear(sent.size());
  talker.join();
  EXPECT_EQ(heard.size(), sent.size());
  EXPECT_TRUE(heard == sent);
  EXPECT_EQ(client.hear_end(), "");
}

TEST_P(EveryPatternOfTcp, TakesALineAtTheLimitAndEndsTheConnectionOneBeyond) {
  Echo echo;
  Running const running(GetParam(), echo, with_lines);
  Client client(running.at());
  client.say("12345678\r\n");
  EXPECT_EQ(client.hear(9), "12345678\n");
  client.say("123456789\n");
  EXPECT_EQ(client.hear_end(), "");
  running.wait_until_closed();
  EXPECT_EQ(running.total(&trace::LoopCounters::protocol_errors), 1u);
}

TEST_P(EveryPatternOfTcp, AnswersWhatHadComeBeforeTheEnd) {
  Echo echo;
  Running const running(GetParam(), echo, with_lines);
  Client client(running.at());
  client.say("one\ntwo\nthree\n");
  client.end();
  EXPECT_EQ(client.hear(14), "one\ntwo\nthree\n");
  EXPECT_EQ(client.hear_end(), "");
}

TEST_P(EveryPatternOfTcp, ResetsTheConnectionOfAHandlerThatFails) {
  Gated gated;
  Running const running(GetParam(), gated, with_lines);
  Client client(running.at());
  client.say("fail\n");
  EXPECT_EQ(client.hear_end(), "reset");
  running.wait_until_closed();
  EXPECT_EQ(running.total(&trace::LoopCounters::requests_failed), 1u);
}

TEST_P(EveryPatternOfTcp, ClosesTheConnectionBeyondTheLimit) {
  Echo echo;
  Running const running(GetParam(), echo,
                        [](StreamServerOptions& options) { options.max_connections = 1; });
  Client first(running.at());
  first.say("1");
  EXPECT_EQ(first.hear(1), "1");
  Client second(running.at());
  EXPECT_EQ(second.hear_end(), "");
  EXPECT_EQ(running.total(&trace::LoopCounters::connections_refused), 1u);
}

TEST_P(EveryPatternOfTcp, ClosesTheIdle) {
  Echo echo;
  Running const running(GetParam(), echo, [](StreamServerOptions& options) {
    options.stream.idle_timeout = base::milliseconds(30);
  });
  Client client(running.at());
  EXPECT_EQ(client.hear_end(), "reset");
  running.wait_until_closed();
  EXPECT_EQ(running.total(&trace::LoopCounters::idle_timeouts), 1u);
  EXPECT_EQ(running.total(&trace::LoopCounters::timeouts), 0u);
}

TEST_P(EveryPatternOfTcp, CutsOffAPeerThatTakesNothingInTime) {
  Echo echo;
  Running const running(GetParam(), echo, [](StreamServerOptions& options) {
    options.stream.write_timeout = base::milliseconds(30);
  });
  Client taking(running.at()), client(running.at());
  taking.say("1");
  client.say(std::string(20'000'000, 'x'));  // until the reset
  EXPECT_EQ(running.total(&trace::LoopCounters::write_timeouts), 1u);
  EXPECT_EQ(running.total(&trace::LoopCounters::timeouts), 1u);
  EXPECT_EQ(running.total(&trace::LoopCounters::idle_timeouts), 0u);
  EXPECT_EQ(taking.hear(1), "1");
}

TEST_P(EveryPatternOfTcp, DrainsIdleConnectionsAtOnce) {
  Echo echo;
  Running const running(GetParam(), echo);
  Client client(running.at());
  client.say("1");
  EXPECT_EQ(client.hear(1), "1");
  running.server->host().stop_accepting();
  EXPECT_EQ(running.server->host().drain(net::Reactor::clock() + base::seconds(30)), 0u);
  EXPECT_EQ(client.hear_end(), "");
}

TEST(AQueuedHandler, KeepsItsConnectionInOrderWhileOthersGoOn) {
  Gated gated;
  exec::Recipe recipe = *exec::find_recipe("acceptor_queue_workers");
  recipe.workers = 2;
  Running const running(recipe, gated, with_lines);
  Client waiting(running.at()), other(running.at());
  waiting.say("slow\nnext\n");
  while (running.server->in_flight() == 0) std::this_thread::yield();
  other.say("other\n");
  EXPECT_EQ(other.hear(6), "other\n");
  gated.gate.count_down();
  EXPECT_EQ(waiting.hear(10), "slow\nnext\n");
}

TEST(AQueuedHandler, AnswersWhatCameBeforeARefusal) {
  Gated gated;
  Running const running(*exec::find_recipe("acceptor_queue_workers"), gated, with_lines);
  Client client(running.at());
  client.say("slow\n");
  while (running.server->in_flight() == 0) std::this_thread::yield();
  client.say("next\n123456789\n");
  while (running.total(&trace::LoopCounters::protocol_errors) == 0) std::this_thread::yield();
  gated.gate.count_down();
  EXPECT_EQ(client.hear(10), "slow\nnext\n");
  EXPECT_EQ(client.hear_end(), "");
}

TEST(AQueuedHandler, WaitsWhereTheQueueIsFullAndLosesNothing) {
  Gated gated;
  exec::Recipe recipe = *exec::find_recipe("acceptor_queue_workers");
  recipe.workers = 1;
  recipe.queue_capacity = 1;
  Running const running(recipe, gated, with_lines);
  Client first(running.at()), second(running.at()), third(running.at());
  first.say("slow\n");
  while (running.server->in_flight() < 1) std::this_thread::yield();
  second.say("slow\n");
  third.say("slow\n");
  while (running.total(&trace::LoopCounters::requests_refused) == 0) std::this_thread::yield();
  gated.gate.count_down();
  for (auto* client : {&first, &second, &third}) EXPECT_EQ(client->hear(5), "slow\n");
}

}  // namespace
}  // namespace millrace::server
