// The server over real sockets, under every row of the table of patterns. Runs under the thread
// sanitizer too.
#include "millrace/server/server.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <latch>

#include "running_host.hpp"

#include "millrace/server/constant.hpp"

namespace millrace::server {
namespace {

// A blocking client: enough to ask and to listen.
class Client {
 public:
  explicit Client(const net::Endpoint& to)
      : descriptor_(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    EXPECT_EQ(::connect(descriptor_, to.address(), to.size), 0) << strerror(errno);
  }
  Client(Client&& o) noexcept
      : descriptor_(std::exchange(o.descriptor_, -1)), heard_(std::move(o.heard_)) {}
  ~Client() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  void say(std::string_view text) {
    EXPECT_EQ(::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // One answer with a Content-Length: its body. Empty at the end of the stream.
  std::string body() {
    std::size_t head_end = 0;
    while ((head_end = heard_.find("\r\n\r\n")) == std::string::npos)
      if (!hear()) return {};
    auto const field = heard_.find("Content-Length: ");
    auto const length = std::stoul(heard_.substr(field + 16));
    while (heard_.size() < head_end + 4 + length)
      if (!hear()) return {};
    status = std::stoi(heard_.substr(9));
    head = heard_.substr(0, head_end);
    auto body = heard_.substr(head_end + 4, length);
    heard_.erase(0, head_end + 4 + length);
    return body;
  }
  std::string ask(const std::string& path) {
    say("GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n");
    return body();
  }
  bool is_ended() { return heard_.empty() && !hear(); }
  int status = 0;
  std::string head;

 private:
  bool hear() {
    char bytes[16 * 1024];
    auto const n = ::recv(descriptor_, bytes, sizeof bytes, 0);
    if (n > 0) heard_.append(bytes, static_cast<std::size_t>(n));
    return n > 0;
  }
  int descriptor_;
  std::string heard_;
};

// Answers with the path, from wherever the pattern runs it; may wait at a gate.
class Echo final : public Handler {
 public:
  Where where() const override { return Where::dispatched; }
  Body body() const override { return Body::whole; }
  void handle(conn::Exchange& exchange) override {
    if (exchange.head.path() == "/gate") gate.wait();
    auto text = std::string(exchange.head.path()) + exchange.whole_body;
    exchange.reply({}, base::Bytes::from(std::move(text)));
  }
  std::latch gate{1};
};

class Nobody final : public trace::Sink {
 public:
  void connection_accepted(const trace::ConnectionAccepted&) override {}
  void request_done(const trace::RequestDone&) override {}
};

struct Made {
  Made(const exec::Recipe& recipe, const std::function<void(Options&)>& adjust) {
    Options options;
    options.recipe = recipe;
    if (adjust) adjust(options);
    Router router;
    EXPECT_TRUE(router.add({}, "/constant", constant));
    EXPECT_TRUE(router.add({}, "/{rest:path}", echo));
    server = std::make_unique<Server>(options, std::move(router), nullptr, nullptr,
                                      [](std::size_t) { return std::make_unique<Nobody>(); });
  }
  Echo echo;
  Constant constant{200, {{"Content-Type", "text/plain"}}, "constant"};
  std::unique_ptr<Server> server;
};

class Running : public Made, public RunningHost {
 public:
  explicit Running(const exec::Recipe& recipe, const std::function<void(Options&)>& adjust = {})
      : Made(recipe, adjust), RunningHost(server->host()) {}
};

class EveryPattern : public ::testing::TestWithParam<exec::Recipe> {};
INSTANTIATE_TEST_SUITE_P(Recipes, EveryPattern,
                         ::testing::ValuesIn(exec::recipes().begin(), exec::recipes().end()),
                         recipe_name);

TEST_P(EveryPattern, AnswersManyConnectionsEachWithItsOwn) {
  Running const running(GetParam());
  constexpr int clients = 24, requests = 20;
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int c = 0; c < clients; ++c) {
    threads.emplace_back([&, c] {
      Client client(running.at());
      for (int r = 0; r < requests; ++r) {
        auto const path = "/" + std::to_string(c) + "/" + std::to_string(r);
        if (client.ask(path) == path) ++right;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right.load(), clients * requests);
  EXPECT_EQ(running.total(&trace::LoopCounters::accepts), static_cast<std::uint64_t>(clients));
  EXPECT_EQ(running.total(&trace::LoopCounters::connections_opened),
            static_cast<std::uint64_t>(clients));
}

TEST_P(EveryPattern, AnswersPipelinedRequestsInOrder) {
  Running const running(GetParam());
  Client client(running.at());
  std::string all;
  for (int i = 0; i < 50; ++i)
    all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: test\r\n\r\n";
  client.say(all);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.body(), "/" + std::to_string(i));
}

TEST_P(EveryPattern, BuffersABodyForItsHandler) {
  Running const running(GetParam());
  Client client(running.at());
  std::string const body(300'000, 'b');
  client.say("POST /b HTTP/1.1\r\nHost: test\r\nContent-Length: 300000\r\n\r\n" + body);
  EXPECT_EQ(client.body(), "/b" + body);
}

TEST_P(EveryPattern, FinishesWhatIsOpenWhenItDrains) {
  auto running = std::make_unique<Running>(GetParam());
  Client idle(running->at()), busy(running->at());
  EXPECT_EQ(idle.ask("/constant"), "constant");
  busy.say("GET /gate HTTP/1.1\r\nHost: test\r\n\r\n");
  while (running->server->in_flight() == 0) std::this_thread::yield();
  std::thread stopping([&] {
    running->server->host().stop_accepting();
    EXPECT_EQ(running->server->host().drain(net::Reactor::clock() + base::seconds(20)), 0u);
  });
  running->echo.gate.count_down();
  EXPECT_EQ(busy.body(), "/gate");
  stopping.join();
  EXPECT_TRUE(idle.is_ended());
}

TEST_P(EveryPattern, SaysWhatIsUnderWayAsFarAsItsLoopsAnswer) {
  Running running(GetParam());
  Client first(running.at());
  first.say("GET /gate?query HTTP/1.1\r\nHost: test\r\n\r\n");
  while (running.server->in_flight() < 1) std::this_thread::yield();
  bool const blocks_its_loop = GetParam().run == exec::Run::on_loop;
  auto const patience = base::seconds(blocks_its_loop ? 0 : 20);
  auto const found = running.server->under_way(5, net::Reactor::clock() + patience);
  if (blocks_its_loop) {
    EXPECT_GE(found.silent_loops, 1u);
  } else {
    EXPECT_EQ(found.silent_loops, 0u);
    ASSERT_EQ(found.oldest.size(), 1u);
    EXPECT_EQ(found.oldest[0].what, "GET /gate");
    EXPECT_LE(found.oldest[0].since, net::Reactor::clock());
  }
  running.echo.gate.count_down();
  EXPECT_EQ(first.body(), "/gate");
  auto const after = running.server->under_way(5, net::Reactor::clock() + base::seconds(20));
  EXPECT_EQ(after.silent_loops, 0u);
  EXPECT_TRUE(after.oldest.empty());
}

TEST(AServer, NamesTheOldestRequestsUpToALimitAndCutsLongPaths) {
  exec::Recipe recipe;
  for (auto const& row : exec::recipes())
    if (row.run == exec::Run::on_workers) recipe = row;
  Running running(recipe);
  auto const list = [&](std::size_t most) {
    return running.server->under_way(most, net::Reactor::clock() + base::seconds(20)).oldest;
  };
  std::vector<Client> clients;
  constexpr std::size_t room = conn::Exchange::summary_bytes - 4;  // beside "GET "
  std::string const cut(room - 1, 'p');
  for (auto const& path : {std::string("/gate"), "/" + cut, "/" + cut + "q"}) {
    clients.emplace_back(running.at());
    // Its body keeps it open: handlers run when it is whole.
    clients.back().say("GET " + path + " HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n");
    while (list(9).size() < clients.size()) std::this_thread::yield();
  }
  auto const all = list(3);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].what, "GET /gate");
  EXPECT_EQ(all[1].what, "GET /" + cut);
  EXPECT_EQ(all[2].what, all[1].what);  // one byte more does not fit
  EXPECT_EQ(list(2).size(), 2u);
  running.echo.gate.count_down();
  for (auto& client : clients) client.say("x");
  for (auto& client : clients) EXPECT_EQ(client.body().back(), 'x');
}

TEST_P(EveryPattern, ConnectionsAtTheLimitAreServedAndOneMoreIsTurnedAway) {
  Running const running(GetParam(), [](Options& o) { o.max_connections = 3; });
  std::vector<Client> inside;
  for (int i = 0; i < 3; ++i) {
    inside.emplace_back(running.at());
    EXPECT_EQ(inside.back().ask("/constant"), "constant");
  }
  Client outside(running.at());
  EXPECT_EQ(outside.body(), "");
  EXPECT_EQ(outside.status, 503);
  EXPECT_NE(outside.head.find("Retry-After: 1"), std::string::npos);
  EXPECT_EQ(inside[0].ask("/still"), "/still");
  EXPECT_EQ(running.total(&trace::LoopCounters::connections_refused), 1u);
}

TEST(AServer, AnswersAFullQueueWith503AndRetryAfter) {
  exec::Recipe recipe;
  for (auto const& row : exec::recipes())
    if (row.run == exec::Run::on_workers) recipe = row;
  recipe.workers = 1;
  recipe.queue_capacity = 2;
  Running running(recipe);
  std::vector<Client> clients;
  for (int i = 0; i < 8; ++i) clients.emplace_back(running.at());
  // The worker holds one; it may have taken it out of the queue or not yet: 2 or 3 fit, the rest
  // are refused.
  for (auto& client : clients) client.say("GET /gate HTTP/1.1\r\nHost: test\r\n\r\n");
  while (running.total(&trace::LoopCounters::requests_refused) < 5) std::this_thread::yield();
  running.echo.gate.count_down();
  int served = 0, refused = 0;
  for (auto& client : clients) {
    client.body();
    ++(client.status == 200 ? served : refused);
    if (client.status != 200) {
      EXPECT_EQ(client.status, 503);
      EXPECT_NE(client.head.find("Retry-After: 1"), std::string::npos);
    }
  }
  EXPECT_EQ(served + refused, 8);
  EXPECT_GE(served, 2);
  EXPECT_LE(served, 3);
}

TEST(AServer, RequestsInFlightAtTheLimitAreServedAndOneMoreIsRefused) {
  exec::Recipe recipe;
  for (auto const& row : exec::recipes())
    if (row.run == exec::Run::on_workers) recipe = row;
  Running running(recipe, [](Options& o) { o.admission.max_in_flight = 2; });
  Client first(running.at()), second(running.at()), third(running.at());
  first.say("GET /gate HTTP/1.1\r\nHost: test\r\n\r\n");
  second.say("GET /gate HTTP/1.1\r\nHost: test\r\n\r\n");
  while (running.server->in_flight() < 2) std::this_thread::yield();
  third.ask("/more");
  EXPECT_EQ(third.status, 503);
  running.echo.gate.count_down();
  EXPECT_EQ(first.body(), "/gate");
  EXPECT_EQ(second.body(), "/gate");
  EXPECT_EQ(third.ask("/again"), "/again");
}

TEST_P(EveryPattern, AnswersAllOfABurstOneAfterAnother) {
  Running const running(GetParam(), [](Options& o) {
    o.admission = {.max_in_flight = 1, .queue_requests = 100, .queue_timeout = base::seconds(60)};
  });
  std::vector<Client> clients;
  for (int i = 0; i < 12; ++i) clients.emplace_back(running.at());
  for (int round = 0; round < 20; ++round) {
    for (auto& client : clients) client.say("GET /burst HTTP/1.1\r\nHost: test\r\n\r\n");
    for (auto& client : clients) EXPECT_EQ(client.body(), "/burst");
  }
  EXPECT_EQ(running.total(&trace::LoopCounters::requests_refused), 0u);
  EXPECT_EQ(running.server->admission().waiting(), 0u);
}

TEST_P(EveryPattern, ForgetsClientsThatLeaveTheQueue) {
  Running running(GetParam(), [](Options& o) {
    o.admission = {.max_in_flight = 1, .queue_requests = 100, .queue_timeout = base::seconds(60)};
  });
  Client stays(running.at());
  for (int round = 0; round < 20; ++round) {
    std::vector<Client> leave;
    for (int i = 0; i < 5; ++i) leave.emplace_back(running.at());
    for (auto& client : leave) client.say("GET /burst HTTP/1.1\r\nHost: test\r\n\r\n");
    leave.clear();
    EXPECT_EQ(stays.ask("/stays"), "/stays");
  }
  while (running.server->in_flight() != 0 || running.server->admission().waiting() != 0)
    std::this_thread::yield();
  EXPECT_EQ(stays.ask("/stays"), "/stays");
}

TEST(AServer, HoldsSoMuchOfAllBodiesTogether) {
  Running const running(exec::recipes().front(), [](Options& o) {
    o.body_memory = 1000;
    o.body_memory_high_water = 1;
  });
  Client half(running.at()), other(running.at());
  half.say("POST /h HTTP/1.1\r\nHost: test\r\nContent-Length: 600\r\n\r\n" + std::string(599, 'h'));
  while (running.server->body_memory().held() != 599) std::this_thread::yield();
  other.say("POST /o HTTP/1.1\r\nHost: test\r\nContent-Length: 401\r\n\r\n" +
            std::string(401, 'o'));
  EXPECT_EQ(other.body().size(), 403u) << "just as much";
  while (running.server->body_memory().held() != 599) std::this_thread::yield();
  other.say("POST /o HTTP/1.1\r\nHost: test\r\nContent-Length: 402\r\n\r\n" +
            std::string(402, 'o'));
  (void)other.body();
  EXPECT_EQ(other.status, 503);
  while (running.server->body_memory().held() != 599) std::this_thread::yield();
  half.say("h");
  EXPECT_EQ(half.body().size(), 602u);
  EXPECT_EQ(running.total(&trace::LoopCounters::bodies_refused), 1u);
}

TEST_P(EveryPattern, BeginsWaitingBodiesAsFarAsTheirFirstBytesFitBelowTheMark) {
  constexpr auto window = conn::ServerConnectionOptions{}.body_ahead_bytes, mark = 4 * window;
  Running const running(GetParam(), [](Options& o) {
    o.body_memory = 2 * mark;
    o.admission.queue_timeout = base::seconds(60);
  });
  auto const& memory = running.server->body_memory();
  auto const holds = [&](std::size_t bytes) {
    while (memory.held() != bytes) std::this_thread::yield();
  };
  auto const post = [](std::size_t length) {
    return "POST /w HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(length) +
           "\r\n\r\n";
  };
  Client half(running.at()), begun(running.at());
  half.say(post(mark + 2) + std::string(mark, 'h'));
  holds(mark);
  begun.say(post(2));
  begun.say("b");
  holds(mark + 1);  // at the mark one may begin
  std::vector<Client> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.emplace_back(running.at());
    waiting.back().say(post(2) + "w");
    while (memory.waiting() != waiting.size()) std::this_thread::yield();
  }
  EXPECT_EQ(memory.held(), mark + 1) << "one past it, none";
  begun.say("b");  // who has begun goes on
  EXPECT_EQ(begun.body(), "/wbb");
  // What is at the mark lets one begin, whose promise is above it.
  while (memory.waiting() != 19) std::this_thread::yield();
  holds(mark + 1);
  half.say("hh");
  EXPECT_EQ(half.body().size(), mark + 4);
  // That one counts a window, with what it is promised: three more make the mark, one goes past it.
  while (memory.waiting() != 15) std::this_thread::yield();
  holds(5);
  EXPECT_EQ(memory.waiting(), 15u);
  for (auto& client : waiting) client.say("w");
  for (auto& client : waiting) EXPECT_EQ(client.body(), "/www");
  holds(0);
  EXPECT_EQ(running.total(&trace::LoopCounters::bodies_paused), 20u);
  EXPECT_EQ(running.total(&trace::LoopCounters::requests_refused), 0u);
}

TEST(AServer, SaysWhatItCannotBind) {
  Options options;
  options.recipe = exec::recipes().front();
  options.bind = {"127.0.0.1:0"};
  auto const no_sink = [](std::size_t) { return std::make_unique<Nobody>(); };
  Server first(options, Router{}, nullptr, nullptr, no_sink);
  ASSERT_TRUE(first.host().listen());
  options.bind = {first.host().endpoints().front().to_string()};
  Server second(options, Router{}, nullptr, nullptr, no_sink);
  auto status = second.host().listen();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, base::Errc::address_in_use);
}

}  // namespace
}  // namespace millrace::server
