#include "bench_of_one_connection.hpp"

namespace millrace::conn {
namespace {

using namespace std::string_literals;

constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

int count(const std::string& text, const std::string& what) {
  int n = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

TEST_F(OneConnection, AnswersARequestAndStampsItsJourney) {
  serve_http1();
  peer->says(get);
  EXPECT_TRUE(peer->heard.ends_with("\r\n\r\nhello")) << peer->heard;
  EXPECT_EQ(sink.requests, 1);
  using trace::Moment;
  auto const& at = sink.last;
  EXPECT_LE(at[Moment::ready], at[Moment::received]);
  EXPECT_LE(at[Moment::received], at[Moment::head_parsed]);
  EXPECT_LE(at[Moment::head_parsed], at[Moment::handler_done]);
  EXPECT_LE(at[Moment::handler_done], at[Moment::encoded]);
  EXPECT_LE(at[Moment::encoded], at[Moment::written]);
  EXPECT_GT(at[Moment::ready], 0);
  EXPECT_EQ(at[Moment::queued], 0) << "nothing was queued, so nothing says so";
}

TEST_F(OneConnection, AnswersTheSameWhereverTheRequestIsSplit) {
  service.exchange = [](Exchange& x) { x.collect_body(100); };
  std::string const request =
      "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world"s + std::string(get);
  service.exchange = [](Exchange& x) {
    if (x.head.has_body()) {
      x.collect_body(100);
    } else {
      x.reply({}, base::Bytes::borrowed("next"));
    }
  };
  std::string whole;
  for (std::size_t split = 0; split <= request.size(); ++split) {
    SCOPED_TRACE(split);
    serve_http1();
    peer->says(request.substr(0, split));
    peer->says(request.substr(split));
    if (split == 0) whole = peer->heard;
    EXPECT_EQ(peer->heard, whole);
    EXPECT_EQ(count(peer->heard, "hello world"), 1);
    EXPECT_EQ(count(peer->heard, "next"), 1);
    peer->leaves();
  }
}

TEST_F(OneConnection, AnswersPipelinedRequestsInOrderThoughTheFirstIsSlow) {
  std::vector<Exchange*> open;
  service.exchange = [&](Exchange& x) { open.push_back(&x); };
  serve_http1();
  peer->says(
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 "
      "HTTP/1.1\r\nHost: a\r\n\r\n");
  for (int i = 1; i <= 3; ++i) {
    ASSERT_EQ(open.size(), 1u) << "one at a time";
    EXPECT_EQ(open[0]->head.path(), "/" + std::to_string(i));
    auto* x = std::exchange(open, {})[0];
    x->reply({}, base::Bytes::from("answer " + std::to_string(i)));
    peer->settle();
  }
  EXPECT_LT(peer->heard.find("answer 1"), peer->heard.find("answer 2"));
  EXPECT_LT(peer->heard.find("answer 2"), peer->heard.find("answer 3"));
}

TEST_F(OneConnection, StopsReadingAPeerThatSendsRequestsAndReadsNoAnswers) {
  std::string const large(20'000, 'x');
  int handled = 0;
  service.exchange = [&](Exchange& x) {
    ++handled;
    x.reply({}, base::Bytes::borrowed(large));
  };
  serve_http1();
  peer->stops_reading();
  std::string many;
  for (int i = 0; i < 2000; ++i) many += get;
  peer->says(many);
  // The pipe and the high-water mark bound what was made for it.
  EXPECT_LT(handled, 100);
  peer->reads_again();
  for (int i = 0; i < 200 && handled < 2000; ++i) peer->settle();
  EXPECT_EQ(handled, 2000);
  EXPECT_EQ(count(peer->heard, "HTTP/1.1 200"), 2000);
}

TEST_F(OneConnection, TellsAWriterToWaitAndThenToGoOn) {
  struct Writer final : ExchangeObserver {
    int rooms = 0, sent = 0;
    bool full = false, released = false;
    void push(Exchange& x) {
      while (sent < 60) {
        ++sent;
        if (!x.write(base::Bytes::copy_of(std::string(10'000, 'y')))) {
          full = true;
          return;
        }
      }
      x.finish();
    }
    void on_body(Exchange&) override {}
    void on_room(Exchange& x) override {
      ++rooms;
      push(x);
    }
    void on_gone(Exchange&) override {}
    void on_released() override { released = true; }
  } writer;
  service.exchange = [&](Exchange& x) {
    x.observe(&writer);
    x.start({});
    writer.push(x);
  };
  serve_http1();
  peer->stops_reading();
  peer->says(get);
  EXPECT_TRUE(writer.full);
  EXPECT_LT(writer.sent, 60) << "the peer's slowness reaches the writer";
  peer->reads_again();
  for (int i = 0; i < 50 && !writer.released; ++i) peer->settle();
  EXPECT_GE(writer.rooms, 1);
  EXPECT_TRUE(writer.released);
  EXPECT_EQ(count(peer->heard, "y"), 600'000);
}

TEST_F(OneConnection, RefusesABodyOneByteOverItsLimit) {
  service.exchange = [](Exchange& x) { x.collect_body(10); };
  serve_http1();
  peer->says("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789");
  EXPECT_TRUE(peer->heard.ends_with("0123456789"));
  peer->heard.clear();
  peer->says("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n01234567890");
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 413 ")) << peer->heard;
}

TEST_F(OneConnection, RefusesAChunkedBodyThatGrowsPastItsLimit) {
  service.exchange = [](Exchange& x) { x.collect_body(10); };
  serve_http1();
  peer->says(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n6\r\n012345\r\n5\r\n67890\r\n0\r\n\r\n");
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 413 ")) << peer->heard;
}

TEST_F(OneConnection, AnswersAMalformedRequestAndListensOnForAWhileBeforeItCloses) {
  serve_http1();
  peer->says("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 400 ")) << peer->heard;
  EXPECT_TRUE(peer->ended) << "our side is over";
  EXPECT_EQ(service.closed, 0) << "its side is swallowed";
  peer->says(std::string(100'000, 'z'));
  peer->ends();
  EXPECT_EQ(service.closed, 1);
  EXPECT_EQ(reactor.counters().protocol_errors.get(), 1u);
}

TEST_F(OneConnection, RecordsWhatItRefusedOnceItsAnswerIsOut) {
  serve_http1();
  peer->says("NONSENSE\r\n\r\n");
  EXPECT_EQ(sink.refused, std::vector<std::string>{"400 |NONSENSE"});
  EXPECT_EQ(sink.requests, 0);
}

TEST_F(OneConnection, RecordsNothingOfWhatItRefusedWhereNobodyKeepsARecord) {
  options.journey = false;
  serve_http1();
  peer->says("NONSENSE\r\n\r\n");
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 400 ")) << peer->heard;
  EXPECT_TRUE(sink.refused.empty());
}

TEST_F(OneConnection, TreatsAClientThatEndsItsSideBeforeTheAnswerAsGone) {
  Exchange* open = nullptr;
  service.exchange = [&](Exchange& x) { open = &x; };
  serve_http1();
  peer->says(get);
  peer->ends();
  EXPECT_TRUE(open->is_gone());
  EXPECT_EQ(service.closed, 1);
  open->reply({}, {});
  peer->settle();
  EXPECT_EQ(service.done, 1);
}

TEST_F(OneConnection, AnswersAClientThatEndedItsSideWhereHalfCloseIsAllowed) {
  options.half_close = true;
  Exchange* open = nullptr;
  service.exchange = [&](Exchange& x) { open = &x; };
  serve_http1();
  peer->says(get);
  peer->ends();
  ASSERT_FALSE(open->is_gone());
  open->reply({}, base::Bytes::borrowed("late"));
  peer->settle();
  EXPECT_TRUE(peer->heard.ends_with("late")) << peer->heard;
  EXPECT_TRUE(peer->ended);
  EXPECT_EQ(service.closed, 1);
}

TEST_F(OneConnection, LosesNothingOfABodyWhoseSenderEndedItsSideWhileReadingWasPaused) {
  options.half_close = true;
  Exchange* open = nullptr;
  service.exchange = [&](Exchange& x) {
    open = &x;
    x.stream_body();
  };
  serve_http1();
  std::string const body(250'000, 'b');
  peer->says("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 250000\r\n\r\n" + body);
  peer->ends();
  std::string read;
  for (int i = 0; i < 100; ++i) {
    auto piece = open->body.read();
    ASSERT_TRUE(piece) << piece.error().message();
    if (piece->at_end) break;
    read += piece->bytes.view();
    open->return_credit();
    if (piece->waiting) peer->settle();
  }
  EXPECT_EQ(read.size(), body.size());
  open->reply({}, base::Bytes::borrowed("got it"));
  peer->settle();
  EXPECT_TRUE(peer->heard.ends_with("got it")) << peer->heard;
  EXPECT_EQ(service.closed, 1);
}

TEST_F(OneConnection, BreaksOffAStreamThatEndsShortOfItsDeclaredLength) {
  service.exchange = [](Exchange& x) {
    http::ResponseHead head;
    head.content_length = 10;
    x.start(std::move(head));
    x.write(base::Bytes::borrowed("short"));
    x.finish();
  };
  serve_http1();
  peer->says(get);
  EXPECT_EQ(service.closed, 1);
  EXPECT_EQ(service.done, 1);
  EXPECT_EQ(reactor.counters().requests_failed.get(), 1u);
}

TEST_F(OneConnection, GivesAProperAnswerWhereAHandlerFailsBeforeItBegan) {
  service.exchange = [](Exchange& x) { x.fail({base::Errc::overloaded, {}, {}}); };
  serve_http1();
  peer->says(get);
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 503 ")) << peer->heard;
  peer->says(get);
  EXPECT_EQ(count(peer->heard, "HTTP/1.1 503"), 2) << "and keeps the connection";
}

TEST_F(OneConnection, ClosesIdleConnectionsAtOnceAndBusyOnesAfterTheirAnswerWhenTheServerGoesAway) {
  Exchange* open = nullptr;
  service.exchange = [&](Exchange& x) { open = &x; };
  serve_http1();
  peer->says(get);
  set.go_away();
  peer->settle();
  EXPECT_EQ(service.closed, 0);
  open->reply({}, base::Bytes::borrowed("last"));
  peer->settle();
  EXPECT_NE(peer->heard.find("Connection: close"), peer->heard.npos);
  EXPECT_TRUE(peer->heard.ends_with("last"));
  EXPECT_TRUE(peer->ended) << "our side is over; its own it may end when it likes";
  peer->ends();
  EXPECT_EQ(service.closed, 1);
  serve_http1();
  set.go_away();
  peer->settle();
  EXPECT_EQ(service.closed, 2);
}

}  // namespace
}  // namespace millrace::conn
