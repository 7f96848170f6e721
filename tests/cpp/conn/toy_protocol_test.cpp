// The seam is wide enough for the protocols to come: streams in parallel, credit per stream, a
// switch with left-over bytes.
#include "bench_of_one_connection.hpp"
#include "toy_codec.hpp"

namespace millrace::conn {
namespace {

std::string frame(int stream, const std::string& body) {
  return "D" + std::to_string(stream) + " " + std::to_string(body.size()) + "\n" + body;
}

std::size_t read_all(Exchange& exchange, std::string& into) {
  std::size_t pieces = 0;
  for (;;) {
    auto piece = exchange.body.read();
    if (!piece || piece->waiting || piece->at_end) return pieces;
    into += piece->bytes.view();
    exchange.return_credit();
    ++pieces;
  }
}

class ReadsOn final : public ExchangeObserver {
 public:
  explicit ReadsOn(std::string& into) : into_(into) {}
  void on_body(Exchange& exchange) override { read_all(exchange, into_); }
  void on_room(Exchange&) override {}
  void on_gone(Exchange&) override { gone = true; }
  void on_released() override { released = true; }
  bool gone = false, released = false;

 private:
  std::string& into_;
};

TEST_F(OneConnection, AnswersTwoStreamsInTheOrderTheHandlersChoose) {
  std::vector<Exchange*> open;
  service.exchange = [&](Exchange& x) { open.push_back(&x); };
  serve(std::make_unique<toy::Codec>());
  peer->says("H1 /a\nH2 /b\n");
  ASSERT_EQ(open.size(), 2u);
  open[1]->reply({}, base::Bytes::borrowed("second"));
  open[0]->reply({}, base::Bytes::borrowed("first"));
  peer->settle();
  EXPECT_EQ(peer->heard, "S2 200\nD2 6\nsecondE2\nS1 200\nD1 5\nfirstE1\n");
  EXPECT_EQ(service.done, 2);
  EXPECT_EQ(sink.requests, 2);
}

TEST_F(OneConnection, HoldsOfABodyWhatMayBeAheadOfItsReaderAndNoByteMore) {
  options.body_ahead_bytes = 1000;
  Exchange* open = nullptr;
  service.exchange = [&](Exchange& x) {
    open = &x;
    x.stream_body();
  };
  serve(std::make_unique<toy::Codec>());
  auto const held_back = [this] { return reactor.counters().bodies_held_back.get(); };
  peer->says("H1 /slow\n");
  peer->says(frame(1, std::string(999, 'x')));
  EXPECT_EQ(held_back(), 0u);
  peer->says(frame(1, "x"));
  EXPECT_EQ(held_back(), 1u);
  peer->says(frame(1, "y"));
  EXPECT_EQ(open->body.received(), 1000u);
  std::string text;
  read_all(*open, text);
  peer->settle();
  read_all(*open, text);
  EXPECT_EQ(text, std::string(1000, 'x') + 'y');
  open->reply({}, {});
}

TEST_F(OneConnection, OneBodyStallsForWantOfCreditWhileTheOtherFlows) {
  std::vector<Exchange*> open;
  std::string second;
  ReadsOn stalls(second), flows(second);
  service.exchange = [&](Exchange& x) {
    open.push_back(&x);
    x.stream_body();
  };
  serve(std::make_unique<toy::Codec>());
  peer->says("H1 /slow\nH2 /fast\n");
  ASSERT_EQ(open.size(), 2u);
  open[1]->observe(&flows);
  read_all(*open[1], second);  // waits: from now on the observer reads

  std::string const large(options.body_ahead_bytes + 1000, 'x');
  peer->says(frame(1, large));
  EXPECT_EQ(open[0]->body.received(), options.body_ahead_bytes)
      << "no more than its credit, since nobody reads";
  for (int i = 0; i < 4; ++i) peer->says(frame(2, std::string(50'000, static_cast<char>('a' + i))));
  EXPECT_EQ(second.size(), 200'000u) << "the other stream is not held up";
  EXPECT_EQ(open[0]->body.received(), options.body_ahead_bytes);

  std::string first;
  read_all(*open[0], first);
  peer->settle();
  read_all(*open[0], first);
  EXPECT_TRUE(first == large) << "reading gives the credit back, and the rest comes";
  for (auto* x : open) x->reply({}, {});
  peer->settle();
  EXPECT_TRUE(flows.released);
}

TEST_F(OneConnection, SwitchesFromHttp1ToAnotherProtocolWithTheBytesLeftOver) {
  std::vector<std::string> targets;
  service.exchange = [&](Exchange& x) {
    targets.emplace_back(x.head.target());
    if (x.head.wants_upgrade()) {
      http::ResponseHead head{.status = 101,
                              .preset = nullptr,
                              .fields = {{"Connection", "upgrade"}, {"Upgrade", "toy"}},
                              .content_length = {}};
      x.upgrade(std::move(head), std::make_unique<toy::Codec>());
    } else {
      x.reply({}, base::Bytes::borrowed("from the toy"));
    }
  };
  serve_http1();
  // The client does not wait for the 101: what it says next stands in the same read.
  peer->says(
      "GET /switch HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: toy\r\n\r\nH7 /next\n");
  EXPECT_EQ(targets, (std::vector<std::string>{"/switch", "/next"}));
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << peer->heard;
  EXPECT_TRUE(peer->heard.ends_with("S7 200\nD7 12\nfrom the toyE7\n")) << peer->heard;
  peer->says("H9 /later\n");
  EXPECT_EQ(targets.back(), "/later");
}

TEST_F(OneConnection, ClosesWhereAProtocolHandsOverToNobody) {
  serve(std::make_unique<toy::Codec>());
  peer->says("X\nwhatever");
  EXPECT_TRUE(peer->ended);
  EXPECT_EQ(service.closed, 1);
}

TEST_F(OneConnection, TellsTheHandlerOfEachStreamThatTheClientLeft) {
  std::vector<Exchange*> open;
  std::string unused;
  ReadsOn first(unused), second(unused);
  service.exchange = [&](Exchange& x) { open.push_back(&x); };
  serve(std::make_unique<toy::Codec>());
  peer->says("H1 /a\nH2 /b\n");
  open[0]->observe(&first);
  open[1]->observe(&second);
  peer->leaves();
  EXPECT_TRUE(first.gone && second.gone);
  EXPECT_EQ(service.closed, 1);
  EXPECT_EQ(service.done, 0) << "the handlers still hold their exchanges";
  open[0]->reply({}, base::Bytes::borrowed("nobody hears this"));
  open[1]->fail({base::Errc::cancelled, {}, {}});
  peer->settle();
  EXPECT_EQ(service.done, 2);
  EXPECT_TRUE(first.released && second.released);
  EXPECT_EQ(reactor.counters().requests_abandoned.get(), 2u);
}

}  // namespace
}  // namespace millrace::conn
