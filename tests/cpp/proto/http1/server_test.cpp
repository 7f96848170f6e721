// The server's conversations: what comes in, what the application hears, what goes out.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "proto/play.hpp"

#include "millrace/base/read_piece.hpp"

namespace millrace::test {
namespace {

using base::Errc;
using proto::Afterwards;
using proto::Side;

const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string ok_1 = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nanswer 1";

std::string ok(int stream, std::string_view extra = "") {
  return "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n" + std::string(extra) + "\r\nanswer " +
         std::to_string(stream);
}

// The same conversation at every cut of what the client sends.
void expect_at_every_cut(std::string_view sent, std::string_view events, std::string_view output,
                         Afterwards afterwards = Afterwards::go_on,
                         const http::Limits& limits = default_limits) {
  for (auto const& cut : cuts(sent)) {
    SCOPED_TRACE(where(cut));
    Owner owner(Side::server, answer_all, limits);
    for (auto const piece : cut) owner.feed(piece);
    ASSERT_FALSE(owner.has_failed()) << owner.error->message();
    ASSERT_EQ(owner.events, events);
    ASSERT_EQ(owner.output, output);
    ASSERT_EQ(owner.codec->afterwards(), afterwards);
  }
}

TEST(Http1Server, AnswersARequest) { expect_at_every_cut(get, "1 GET / @a end\n", ok_1); }

TEST(Http1Server, TellsTheApplicationEveryPartOfAHead) {
  expect_at_every_cut(
      "PROPFIND /a%20b/../c?d=%20 HTTP/1.1\r\nHost: x.example:8080\r\nX-One:  1 "
      "\r\nx-two:\r\nX-One: 2\r\n\r\n",
      "1 PROPFIND /c?d=%20 @x.example:8080 {X-One=1} {x-two=} {X-One=2} end\n", ok_1);
}

TEST(Http1Server, LetsAnAbsoluteTargetOverrideHost) {
  expect_at_every_cut("GET http://b:81/c HTTP/1.1\r\nHost: a\r\n\r\n", "1 GET /c @b:81 end\n",
                      ok_1);
}

TEST(Http1Server, ReadsABodyWithALength) {
  expect_at_every_cut("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
                      "1 POST / @a length=5 body\n1 data hello\n1 end\n", ok_1);
}

TEST(Http1Server, ReadsAChunkedBodyWithTrailers) {
  expect_at_every_cut(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nDigest: d\r\nx:\r\n\r\n",
      "1 POST / @a body\n1 data hello\n1 end {Digest=d} {x=}\n", ok_1);
}

TEST(Http1Server, ReadsAnEmptyChunkedBody) {
  expect_at_every_cut("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                      "1 POST / @a body\n1 end\n", ok_1);
}

TEST(Http1Server, AnswersPipelinedRequestsInOrder) {
  auto const post = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n";
  expect_at_every_cut(
      get + post + get,
      "1 GET / @a end\n2 POST /p @a length=2 body\n2 data hi\n2 end\n3 GET / @a end\n",
      ok(1) + ok(2) + ok(3));
}

TEST(Http1Server, IgnoresOneEmptyLineBeforeEveryRequest) {
  expect_at_every_cut("\r\n" + get + "\r\n" + get + "\r\n", "1 GET / @a end\n2 GET / @a end\n",
                      ok(1) + ok(2));
}

TEST(Http1Server, TellsNobodyOfABodyThatEndedBehindTheAnswer) {
  auto codec = http1::make_codec(Side::server, default_limits, nullptr, 0);
  ASSERT_TRUE(codec->receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 0));
  ASSERT_TRUE(codec->next_event());
  ASSERT_TRUE(codec->send(1, unlimited(), 0));
  ASSERT_TRUE(codec->receive("x", 0));
  ASSERT_TRUE(codec->send(1, response(200, ""), 0));
  EXPECT_FALSE(codec->next_event());
  ASSERT_TRUE(codec->receive(get, 0));
  auto const next = codec->next_event();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->stream, 2U);
}

TEST(Http1Server, LeavesAPipelinedRequestAloneUntilTheFirstIsAnswered) {
  Owner owner(Side::server, nullptr);
  owner.feed(get + get);
  EXPECT_EQ(owner.events, "1 GET / @a end\n");
  EXPECT_EQ(owner.pending, get);
  owner.say(1, response(204, ""));
  EXPECT_EQ(owner.events, "1 GET / @a end\n2 GET / @a end\n");
  EXPECT_EQ(owner.output, "HTTP/1.1 204 No Content\r\n\r\n");
}

// ----------------------------------------------------------------------------------------------
// credit

TEST(Http1Server, ConsumesNoBodyWithoutCredit) {
  Owner owner(Side::server, nullptr);
  owner.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789" + get);
  EXPECT_EQ(owner.take_events(), "1 POST / @a length=10 body\n");
  EXPECT_EQ(owner.pending, "0123456789" + get);
  owner.say(1, http::Credit{4});
  EXPECT_EQ(owner.take_events(), "1 data 0123\n");
  EXPECT_EQ(owner.pending, "456789" + get);
  owner.say(1, http::Credit{1});
  owner.say(1, http::Credit{2});
  EXPECT_EQ(owner.take_events(), "1 data 456\n");
  owner.say(1, http::Credit{1000});
  EXPECT_EQ(owner.take_events(), "1 data 789\n1 end\n");
  EXPECT_EQ(owner.pending, get);
}

// A codec in the middle of a body, offered what a loop has just read.
base::Bytes body_of_a_read(std::string_view framing, base::ByteView read) {
  Owner owner(Side::server, nullptr);
  owner.feed("POST / HTTP/1.1\r\nHost: a\r\n" + std::string(framing));
  owner.say(1, http::Credit{2 * read.size()});
  EXPECT_EQ(owner.codec->receive(read, 0).value(), read.size());
  auto event = owner.codec->next_event();
  return event ? std::move(std::get<http::Data>(event->what).bytes) : base::Bytes();
}

TEST(Http1Server, KeepsTheMemoryOfAReadThatIsAllBody) {
  auto const room = base::ReadPiece::room();
  std::ranges::fill(room, 'x');
  base::ByteView const read(room.data(), room.size());
  EXPECT_EQ(body_of_a_read("Content-Length: 1000000\r\n\r\n", read).view().data(), read.data());

  auto const other = base::ReadPiece::room();
  std::ranges::fill(other, 'x');
  base::ByteView const chunk(other.data(), other.size());
  auto const kept = body_of_a_read("Transfer-Encoding: chunked\r\n\r\nF0000\r\n", chunk);
  EXPECT_EQ(kept.view().data(), chunk.data());
}

TEST(Http1Server, CopiesABodyThatSomethingFollowsInTheSameRead) {
  auto const room = base::ReadPiece::room();
  std::ranges::fill(room, 'x');
  std::ranges::copy(get, room.end() - static_cast<std::ptrdiff_t>(get.size()));
  base::ByteView const read(room.data(), room.size());
  auto const size = read.size() - get.size();
  auto const framing = "Content-Length: " + std::to_string(size) + "\r\n\r\n";
  Owner owner(Side::server, nullptr);
  owner.feed("POST / HTTP/1.1\r\nHost: a\r\n" + framing);
  owner.say(1, http::Credit{read.size()});
  EXPECT_EQ(owner.codec->receive(read, 0).value(), size);
  auto const event = owner.codec->next_event();
  ASSERT_TRUE(event);
  EXPECT_EQ(std::get<http::Data>(event->what).bytes.view(), std::string(size, 'x'));
  EXPECT_EQ(base::ReadPiece::room().data(), room.data());
}

TEST(Http1Server, CountsOnlyDataAsCreditInAChunkedBody) {
  Owner owner(Side::server, nullptr);
  owner.feed(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n4\r\n0123\r\n3\r\n456\r\n0\r\n\r\n");
  EXPECT_EQ(owner.take_events(), "1 POST / @a body\n");
  owner.say(1, http::Credit{5});
  EXPECT_EQ(owner.take_events(), "1 data 01234\n");
  owner.say(1, http::Credit{2});
  EXPECT_EQ(owner.take_events(), "1 data 56\n1 end\n") << "the end needs no credit";
  EXPECT_TRUE(owner.pending.empty());
}

TEST(Http1Server, IgnoresCreditForABodyThatIsOver) {
  Owner owner(Side::server, nullptr);
  owner.feed(get);
  EXPECT_TRUE(owner.send(1, http::Credit{10}));
  EXPECT_TRUE(owner.send(7, http::Credit{10}));
  EXPECT_EQ(owner.output, "");
}

// ----------------------------------------------------------------------------------------------
// expectations

const std::string expecting =
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";

TEST(Http1Server, SendsContinueWhenTheBodyIsWanted) {
  Owner owner(Side::server, nullptr);
  owner.feed(expecting);
  EXPECT_EQ(owner.take_output(), "");
  owner.say(1, http::Credit{10});
  EXPECT_EQ(owner.take_output(), "HTTP/1.1 100 Continue\r\n\r\n");
  owner.say(1, http::Credit{10});
  EXPECT_EQ(owner.take_output(), "") << "only once";
  owner.feed("abc");
  owner.say(1, response(200, "x"));
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::go_on);
}

TEST(Http1Server, SendsNoContinueBehindTheFirstByteOfTheBody) {
  Owner owner(Side::server, nullptr);
  owner.feed(expecting + "a");
  owner.say(1, http::Credit{10});
  EXPECT_EQ(owner.output, "");
  EXPECT_EQ(owner.events, "1 POST / @a length=3 body expects\n1 data a\n");
}

TEST(Http1Server, ClosesWhenItAnswersInsteadOfContinuing) {
  Owner owner(Side::server, nullptr);
  owner.feed(expecting);
  owner.say(1, response(413, ""));
  EXPECT_EQ(owner.output,
            "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close_lingering);
}

TEST(Http1Server, SendsNoContinueOnceTheFinalResponseHasBegun) {
  Owner owner(Side::server, nullptr);
  owner.feed(expecting);
  owner.say(
      1, http::ResponseHead{.status = 200, .preset = nullptr, .fields = {}, .content_length = 1});
  owner.say(1, http::Credit{10});
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n");
}

TEST(Http1Server, LetsTheApplicationSendItsOwnContinue) {
  Owner owner(Side::server, nullptr);
  owner.feed(expecting);
  owner.say(
      1, http::ResponseHead{.status = 100, .preset = nullptr, .fields = {}, .content_length = {}});
  owner.say(1, http::Credit{10});
  EXPECT_EQ(owner.output, "HTTP/1.1 100 Continue\r\n\r\n");
}

// ----------------------------------------------------------------------------------------------
// unread bodies

TEST(Http1Server, DiscardsAnUnreadBodyAndKeepsTheConnection) {
  for (std::string const body :
       {"Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\na: b\r\n\r\n"}) {
    auto const text = "POST / HTTP/1.1\r\nHost: a\r\n" + body + get;
    for (auto const& cut : cuts(text)) {
      SCOPED_TRACE(where(cut));
      Owner owner(Side::server, [](Owner& o, const http::Event& event) {
        o.say(event.stream, response(200, "x"));
      });
      for (auto const piece : cut) owner.feed(piece);
      ASSERT_FALSE(owner.has_failed());
      ASSERT_TRUE(owner.events.starts_with("1 POST") &&
                  owner.events.ends_with("\n2 GET / @a end\n"))
          << owner.events;
      ASSERT_EQ(owner.output,
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\nContent-Length: "
                "1\r\n\r\nx");
    }
  }
}

TEST(Http1Server, ClosesOverABodyTooLongToDiscard) {
  http::Limits limits;
  limits.discard_bytes = 10;
  for (std::size_t const length : {10U, 11U}) {
    Owner owner(Side::server, nullptr, limits);
    owner.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(length) +
               "\r\n\r\n");
    owner.say(1, response(200, ""));
    bool const closes = length > 10;
    EXPECT_EQ(owner.output.find("Connection: close") != std::string::npos, closes);
    EXPECT_EQ(owner.codec->afterwards(), closes ? Afterwards::close_lingering : Afterwards::go_on);
  }
}

TEST(Http1Server, StopsDiscardingChunksAtTheLimit) {
  http::Limits limits;
  limits.discard_bytes = 100;
  Owner owner(Side::server, nullptr, limits);
  owner.feed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  owner.say(1, response(200, ""));
  owner.feed("64\r\n" + std::string(96, 'x'));
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::go_on);
  owner.feed("x");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close_lingering);
  EXPECT_FALSE(owner.has_failed());
}

TEST(Http1Server, GoesOnReadingWhileItStreamsItsAnswer) {
  Owner owner(Side::server, nullptr);
  owner.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
  owner.say(1, http::ResponseHead{});
  owner.say(1, unlimited());
  owner.say(1, data("abc"));
  owner.feed("def");
  owner.say(1, data("def"));
  owner.say(1, http::End{});
  EXPECT_EQ(owner.events, "1 POST / @a length=6 body\n1 data abcdef\n1 end\n");
  EXPECT_EQ(
      owner.output,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::go_on);
}

// ----------------------------------------------------------------------------------------------
// persistence

TEST(Http1Server, ClosesWhenTheClientAsksForIt) {
  expect_at_every_cut("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n",
                      "1 GET / @a last end\n", ok(1, "Connection: close\r\n"), Afterwards::close);
}

TEST(Http1Server, ClosesBehindAnAnswerToHttp10) {
  expect_at_every_cut("GET / HTTP/1.0\r\n\r\n", "1 GET / @ 1.0 last end\n",
                      ok(1, "Connection: close\r\n"), Afterwards::close);
}

TEST(Http1Server, KeepsAnHttp10ConnectionThatAsksForIt) {
  expect_at_every_cut("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
                      "1 GET / @ 1.0 end\n2 GET / @ 1.0 last end\n",
                      ok(1, "Connection: keep-alive\r\n") + ok(2, "Connection: close\r\n"),
                      Afterwards::close);
}

TEST(Http1Server, EndsAStreamToHttp10ByClosing) {
  Owner owner(Side::server, nullptr);
  owner.feed("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  owner.say(1, http::ResponseHead{});
  owner.say(1, data("abc"));
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::go_on);
  owner.say(1, http::End{});
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close);
}

TEST(Http1Server, SendsNoInterimResponseToHttp10) {
  Owner owner(Side::server, nullptr);
  owner.feed("GET / HTTP/1.0\r\n\r\n");
  owner.say(
      1, http::ResponseHead{.status = 103, .preset = nullptr, .fields = {}, .content_length = {}});
  EXPECT_EQ(owner.output, "");
}

TEST(Http1Server, ClosesAtOnceWhenToldToGoAwayIdle) {
  Owner owner(Side::server, nullptr);
  owner.say(0, http::GoAway{});
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close);
}

TEST(Http1Server, AnswersWhatIsOpenBeforeItGoesAway) {
  Owner owner(Side::server, nullptr);
  owner.feed(get);
  owner.say(0, http::GoAway{});
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::go_on);
  owner.say(1, response(200, ""));
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close_lingering)
      << "the client may be sending its next request";
}

TEST(Http1Server, ServesOneMoreRequestBeforeItGoesAwayWhereThatIsWanted) {
  Owner owner(Side::server, answer_all);
  owner.feed(get);
  owner.say(0, http::GoAway{http::GoAway::Idle::one_more});
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::go_on);
  owner.output.clear();
  owner.feed(get);
  EXPECT_EQ(owner.output, ok(2, "Connection: close\r\n"));
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close_lingering);
}

TEST(Http1Server, KeepsTheConnectionThatAHeadHasPromisedToKeep) {
  Owner owner(Side::server, nullptr);
  owner.feed(get);
  owner.say(
      1, http::ResponseHead{.status = 200, .preset = nullptr, .fields = {}, .content_length = 2});
  owner.say(0, http::GoAway{http::GoAway::Idle::one_more});
  owner.say(1, http::Data{base::Bytes::borrowed("ok")});
  owner.say(1, http::End{});
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::go_on);
  owner.say(0, http::GoAway{http::GoAway::Idle::one_more});
  owner.feed(get);
  owner.output.clear();
  owner.say(2, response(200, ""));
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

TEST(Http1Server, FinishesAHeadThatHasBegunBeforeItGoesAway) {
  Owner owner(Side::server, answer_all);
  owner.feed(get.substr(0, 5));
  owner.say(0, http::GoAway{});
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::go_on);
  owner.feed(get.substr(5));
  EXPECT_EQ(owner.output, ok(1, "Connection: close\r\n"));
}

// ----------------------------------------------------------------------------------------------
// ends

TEST(Http1Server, TakesAnEndBetweenRequestsForAnEnd) {
  Owner owner(Side::server, answer_all);
  owner.feed(get + "\r\n");
  owner.feed_eof();
  EXPECT_FALSE(owner.has_failed());
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close);
}

TEST(Http1Server, TakesAnEndInsideAMessageForAnError) {
  auto const post = std::string("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab");
  for (std::size_t size = 1; size <= post.size(); ++size) {
    Owner owner(Side::server, answer_all);
    owner.feed(post.substr(0, size));
    owner.feed_eof();
    ASSERT_TRUE(owner.has_failed()) << size;
    EXPECT_EQ(owner.error->code, Errc::incomplete_message);
    EXPECT_TRUE(owner.output.starts_with("HTTP/1.1 400 ")) << owner.output;
    EXPECT_EQ(owner.codec->afterwards(), Afterwards::close);
  }
}

TEST(Http1Server, AnswersAClientThatHasEndedItsSide) {
  Owner owner(Side::server, nullptr);
  owner.feed(get);
  owner.feed_eof();
  EXPECT_FALSE(owner.has_failed());
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::go_on);
  owner.say(1, response(200, ""));
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close);
}

TEST(Http1Server, RefusesABodyWithoutAnAnswerOnceItsOwnHasBegun) {
  Owner owner(Side::server, nullptr);
  owner.feed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  owner.say(1, http::ResponseHead{});
  auto const begun = owner.output;
  owner.feed("x");
  EXPECT_TRUE(owner.has_failed());
  EXPECT_EQ(owner.output, begun);
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close);
}

TEST(Http1Server, SwallowsWhatComesBehindARefusal) {
  Owner owner(Side::server, answer_all);
  owner.feed("GET /\r\n\r\n");
  ASSERT_TRUE(owner.has_failed());
  auto taken = owner.codec->receive(get, 0);
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, get.size());
  EXPECT_FALSE(owner.codec->next_event());
  EXPECT_FALSE(owner.send(1, response(200, "")));
}

TEST(Http1Server, PutsDateIntoRefusals) {
  http::DateField date;
  date.write(0);
  Owner owner(Side::server, nullptr, default_limits, &date);
  owner.feed("x\r\n\r\n");
  EXPECT_EQ(owner.output,
            "HTTP/1.1 400 Bad Request\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: "
            "12\r\nConnection: close\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n\r\nBad Request\n");
}

// ----------------------------------------------------------------------------------------------
// switches

const std::string upgrade =
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

TEST(Http1Server, HandsTheStreamOverBehind101WithLeftOverBytes) {
  auto const text = upgrade + "\x81\x05hello";
  for (auto const& cut : cuts(text)) {
    SCOPED_TRACE(where(cut));
    Owner owner(Side::server, [](Owner& o, const http::Event& event) {
      o.say(event.stream, response(101, "", {{"Upgrade", "websocket"}}));
    });
    for (auto const piece : cut) owner.feed(piece);
    ASSERT_EQ(owner.events, "1 GET /ws @a upgrade end\n");
    ASSERT_EQ(
        owner.output,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    ASSERT_EQ(owner.codec->afterwards(), Afterwards::hand_over);
    ASSERT_EQ(owner.pending, "\x81\x05hello");
  }
}

TEST(Http1Server, MayRefuseAnUpgradeAndGoOn) {
  expect_at_every_cut(upgrade + get, "1 GET /ws @a upgrade end\n2 GET / @a end\n", ok(1) + ok(2));
}

TEST(Http1Server, HandsOverNothingThatWasNotAskedFor) {
  Owner owner(Side::server, nullptr);
  owner.feed(get);
  auto const status = owner.send(1, response(101, ""));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::wrong_state);
  EXPECT_EQ(owner.output, "");
}

TEST(Http1Server, OpensATunnelForConnect) {
  Owner owner(Side::server, nullptr);
  owner.feed("CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\ntunnelled");
  EXPECT_EQ(owner.events, "1 CONNECT  @b:443 end\n");
  owner.say(1, http::ResponseHead{});
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::hand_over);
  EXPECT_EQ(owner.pending, "tunnelled");
}

TEST(Http1Server, MayRefuseATunnelAndGoOn) {
  Owner owner(Side::server, nullptr);
  owner.feed("CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n" + get);
  owner.say(1, response(403, "no"));
  EXPECT_EQ(owner.output, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_EQ(owner.events, "1 CONNECT  @b:443 end\n2 GET / @a end\n");
}

// ----------------------------------------------------------------------------------------------
// time

TEST(Http1Server, LetsAnIdleConnectionGoQuietly) {
  Owner owner(Side::server, answer_all);
  EXPECT_EQ(owner.codec->deadline(), default_limits.idle_timeout);
  owner.now = 5;
  owner.feed(get);
  EXPECT_EQ(owner.codec->deadline(), 5 + default_limits.idle_timeout);
  owner.take_output();
  owner.tick_at(owner.codec->deadline() - 1);
  EXPECT_FALSE(owner.has_failed());
  owner.tick_at(owner.codec->deadline());
  ASSERT_TRUE(owner.has_failed());
  EXPECT_EQ(owner.error->code, Errc::idle_timeout);
  EXPECT_EQ(owner.output, "");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close);
}

TEST(Http1Server, IsNotIdleWhileItsAnswerWaitsForTheClient) {
  Owner owner(Side::server, answer_all);
  owner.feed(get);
  owner.codec->output_waits(true, 0);
  auto const late = default_limits.idle_timeout + 1;
  EXPECT_GT(owner.codec->deadline(), late);
  owner.codec->output_waits(false, late);
  EXPECT_EQ(owner.codec->deadline(), late + default_limits.idle_timeout);
}

TEST(Http1Server, TellsASlowHeadThatTimeIsUp) {
  Owner owner(Side::server, answer_all);
  owner.now = 5;
  owner.feed("G");
  owner.now = 6;
  owner.feed("E");
  EXPECT_EQ(owner.codec->deadline(), 5 + default_limits.header_timeout)
      << "counted from the first byte";
  owner.tick_at(owner.codec->deadline());
  ASSERT_TRUE(owner.has_failed());
  EXPECT_EQ(owner.error->code, Errc::header_timeout);
  EXPECT_TRUE(owner.output.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close_lingering);
}

TEST(Http1Server, WaitsForABodyOnlyWhileSomebodyWantsIt) {
  Owner owner(Side::server, nullptr);
  owner.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
  auto const never = owner.codec->deadline();
  EXPECT_GT(never, base::seconds(1'000'000));
  owner.now = 7;
  owner.say(1, http::Credit{6});
  EXPECT_EQ(owner.codec->deadline(), 7 + default_limits.body_timeout);
  owner.now = 8;
  owner.feed("abc");
  EXPECT_EQ(owner.codec->deadline(), 8 + default_limits.body_timeout);
  owner.feed("def");
  EXPECT_EQ(owner.codec->deadline(), never);
  owner.say(1, http::Credit{1});
  owner.tick_at(8 + default_limits.body_timeout);
  ASSERT_TRUE(owner.has_failed());
  EXPECT_EQ(owner.error->code, Errc::body_timeout);
  EXPECT_TRUE(owner.output.starts_with("HTTP/1.1 408 "));
}

TEST(Http1Server, HasNoDeadlineWhileTheApplicationWorks) {
  Owner owner(Side::server, nullptr);
  owner.feed(get);
  EXPECT_GT(owner.codec->deadline(), base::seconds(1'000'000));
  owner.tick_at(base::seconds(1'000'000));
  EXPECT_FALSE(owner.has_failed());
}

TEST(Http1Server, GivesUpDiscardingABodyThatDoesNotCome) {
  Owner owner(Side::server, nullptr);
  owner.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
  owner.say(1, response(200, ""));
  owner.take_output();
  EXPECT_EQ(owner.codec->deadline(), default_limits.body_timeout);
  owner.tick_at(owner.codec->deadline());
  EXPECT_TRUE(owner.has_failed());
  EXPECT_EQ(owner.output, "");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close_lingering);
}

// ----------------------------------------------------------------------------------------------
// limits

TEST(Http1Server, TakesAHeadUpToItsLimits) {
  auto const padded = "GET / HTTP/1.1\r\nHost: a\r\nb: " + std::string(100, 'x') + "\r\n\r\n";
  http::Limits limits;
  limits.head_bytes = padded.size();
  expect_at_every_cut(padded + get,
                      "1 GET / @a {b=" + std::string(100, 'x') + "} end\n2 GET / @a end\n",
                      ok(1) + ok(2), Afterwards::go_on, limits);
  limits.head_bytes = padded.size() - 1;
  for (auto const& cut : cuts(padded)) {
    Owner owner(Side::server, answer_all, limits);
    for (auto const piece : cut)
      if (!owner.has_failed()) owner.feed(piece);
    ASSERT_TRUE(owner.has_failed());
    EXPECT_EQ(owner.error->code, Errc::head_too_large);
  }
}

TEST(Http1Server, NamesWhichLimitAnEndlessRequestLineMeets) {
  http::Limits limits;
  limits.target_bytes = 50;
  limits.head_bytes = 100;
  Owner target(Side::server, nullptr, limits);
  target.feed("GET /" + std::string(1000, 'x'));
  EXPECT_EQ(target.error->code, Errc::target_too_long);
  limits.target_bytes = 1000;
  Owner head(Side::server, nullptr, limits);
  head.feed("GET /" + std::string(1000, 'x'));
  EXPECT_EQ(head.error->code, Errc::head_too_large);
}

}  // namespace
}  // namespace millrace::test
