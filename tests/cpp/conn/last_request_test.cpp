#include "bench_of_one_connection.hpp"

namespace millrace::conn {
namespace {

constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

int count(const std::string& text, const std::string& what) {
  int n = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

TEST_F(OneConnection, SaysThatItClosesWithTheAnswerToItsLastRequest) {
  options.max_requests = 3;
  serve_http1();
  peer->says(get);
  peer->says(get);
  EXPECT_EQ(count(peer->heard, "Connection: close"), 0);
  EXPECT_EQ(reactor.counters().connections_used_up.get(), 0u);
  peer->says(std::string(get) + std::string(get));  // the second is nobody's: its client was told
  EXPECT_EQ(count(peer->heard, "HTTP/1.1 200"), 3);
  EXPECT_EQ(count(peer->heard, "Connection: close"), 1);
  EXPECT_TRUE(peer->ended);
  EXPECT_EQ(reactor.counters().connections_used_up.get(), 1u);
  EXPECT_EQ(reactor.counters().connections_aged.get(), 0u);
}

TEST_F(OneConnection, AnswersTheBodyOfItsLastRequestToo) {
  options.max_requests = 1;
  service.exchange = [](Exchange& x) { x.collect_body(100); };
  serve_http1();
  peer->says("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
  peer->says("56789");
  EXPECT_TRUE(peer->heard.ends_with("0123456789")) << peer->heard;
  EXPECT_EQ(count(peer->heard, "Connection: close"), 1);
  EXPECT_TRUE(peer->ended);
}

TEST_F(OneConnection, ClosesAfterTheFirstRequestThatComesWhenItIsOld) {
  options.max_age = base::seconds(3600);
  serve_http1();
  peer->says(get);
  EXPECT_EQ(count(peer->heard, "Connection: close"), 0);
  EXPECT_EQ(reactor.counters().connections_aged.get(), 0u);
  options.max_age = 1;
  peer->says(get);
  EXPECT_EQ(count(peer->heard, "HTTP/1.1 200"), 2);
  EXPECT_EQ(count(peer->heard, "Connection: close"), 1);
  EXPECT_TRUE(peer->ended);
  EXPECT_EQ(reactor.counters().connections_aged.get(), 1u);
}

TEST_F(OneConnection, GetsAsOldAndAsUsedAsItLikesWithoutLimits) {
  options.max_age = 0;
  options.max_requests = 0;
  serve_http1();
  for (int i = 0; i < 50; ++i) peer->says(get);
  EXPECT_EQ(count(peer->heard, "HTTP/1.1 200"), 50);
  EXPECT_FALSE(peer->ended);
}

}  // namespace
}  // namespace millrace::conn
