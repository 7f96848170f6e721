// What an application says on a server, and what becomes of it on the wire.
#include <gtest/gtest.h>

#include "proto/play.hpp"

namespace millrace::test {
namespace {

using base::Errc;
using http::Fields;
using http::ResponseHead;
using http::ResponseMessage;
using proto::Afterwards;
using proto::Side;

const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string head_request = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";

ResponseHead head_with(std::uint16_t status, Fields fields = {},
                       std::optional<std::uint64_t> length = {}) {
  return {
      .status = status, .preset = nullptr, .fields = std::move(fields), .content_length = length};
}
ResponseMessage message_with(ResponseHead head, std::string body) {
  return {std::move(head), base::Bytes::from(std::move(body))};
}

// A server that has heard one request.
struct Asked : Owner {
  explicit Asked(std::string_view request = get) : Owner(Side::server, nullptr) { feed(request); }
};

std::string sent(std::string_view request, http::Part part) {
  Asked owner(request);
  owner.say(1, std::move(part));
  return owner.output;
}

TEST(Http1Sending, WritesOwnFieldsThenThePresetThenTheRest) {
  http::DateField date;
  date.write(0);
  Fields const preset{{"A", "1"}};
  Owner owner(Side::server, nullptr, default_limits, &date);
  owner.feed(get);
  owner.say(1, ResponseMessage{
                   {.status = 404, .preset = &preset, .fields = {{"B", "2"}}, .content_length = {}},
                   base::Bytes::from("no")});
  EXPECT_EQ(owner.output,
            "HTTP/1.1 404 Not Found\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: "
            "2\r\nA: 1\r\nB: 2\r\n\r\nno");
}

TEST(Http1Sending, LetsTheApplicationSetItsDate) {
  http::DateField date;
  date.write(0);
  Owner owner(Side::server, nullptr, default_limits, &date);
  owner.feed(get);
  owner.say(1, response(200, "", {{"date", "today"}}));
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\ndate: today\r\n\r\n");
}

TEST(Http1Sending, WritesStatusesWithoutAReason) {
  EXPECT_EQ(sent(get, response(299, "")), "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(sent(get, response(999, "")), "HTTP/1.1 999 \r\nContent-Length: 0\r\n\r\n");
}

TEST(Http1Sending, WritesEveryStatusThatHasAReason) {
  for (int status = 200; status < 600; ++status) {
    auto const reason = http::reason_phrase(static_cast<std::uint16_t>(status));
    auto const line = "HTTP/1.1 " + std::to_string(status) + ' ' + std::string(reason) + "\r\n";
    EXPECT_TRUE(sent(get, response(static_cast<std::uint16_t>(status), "")).starts_with(line))
        << line;
  }
}

TEST(Http1Sending, KeepsBodiesOfEverySizeWhole) {
  for (std::size_t const size : {0U, 1U, 2047U, 2048U, 2049U, 4000U, 4080U, 4081U, 100'000U}) {
    auto const body = std::string(size, 'x');
    EXPECT_EQ(sent(get, response(200, body)),
              "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + body);
  }
}

TEST(Http1Sending, KeepsHeadsLargerThanABlockWhole) {
  for (std::size_t const size : {1000U, 1800U, 1900U, 3800U, 3900U, 4000U, 4080U, 10'000U}) {
    auto const value = std::string(size, 'v');
    for (std::size_t const body : {0U, 100U, 2048U, 3000U})
      EXPECT_EQ(sent(get, response(200, std::string(body, 'x'), {{"A", value}})),
                "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body) + "\r\nA: " + value +
                    "\r\n\r\n" + std::string(body, 'x'));
  }
}

TEST(Http1Sending, CopiesASmallBodyBehindItsHead) {
  auto codec = http1::make_codec(Side::server, default_limits, nullptr, 0);
  ASSERT_TRUE(codec->receive(get, 0));
  while (codec->next_event()) continue;
  ASSERT_TRUE(codec->send(1, response(200, std::string(2048, 'x')), 0));
  base::ByteChain out;
  auto const taken = codec->take_output(out);
  EXPECT_EQ(taken, out.size());
  EXPECT_EQ(out.segments(), 1U);
}

// ----------------------------------------------------------------------------------------------
// bodies

TEST(Http1Sending, StreamsADeclaredLengthAsItIs) {
  Asked owner;
  owner.say(1, head_with(200, {}, 6));
  owner.say(1, data("abc"));
  owner.say(1, data(""));
  owner.say(1, data("def"));
  owner.say(1, http::End{});
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::go_on);
}

TEST(Http1Sending, TakesTheApplicationsContentLengthForDeclared) {
  Asked owner;
  owner.say(1, head_with(200, {{"content-length", "3"}}));
  owner.say(1, data("abc"));
  owner.say(1, http::End{});
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
  EXPECT_EQ(sent(get, response(200, "abc", {{"Content-Length", "3"}})),
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
}

TEST(Http1Sending, ChunksWhatHasNoLength) {
  Asked owner;
  auto const large = std::string(70'000, 'x');
  owner.say(1, ResponseHead{});
  owner.say(1, data("abc"));
  owner.say(1, data(large));
  owner.say(1, http::End{{{"Digest", "d"}}});
  EXPECT_EQ(owner.output,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n11170\r\n" + large +
                "\r\n0\r\nDigest: d\r\n\r\n");
}

TEST(Http1Sending, AbortsWhereABodyDoesNotMatchItsLength) {
  auto const expect_abort = [](Asked& owner, base::Status status, std::string_view output) {
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Errc::body_length_mismatch);
    EXPECT_EQ(owner.output, output);
    EXPECT_EQ(owner.codec->afterwards(), Afterwards::close);
  };
  {
    Asked owner;
    expect_abort(owner, owner.send(1, response(200, "abcd", {{"Content-Length", "3"}})), "");
  }
  {
    Asked owner;
    expect_abort(owner, owner.send(1, message_with(head_with(200, {}, 5), "abcd")), "");
  }
  {
    Asked owner;
    owner.say(1, head_with(200, {}, 3));
    owner.say(1, data("ab"));
    expect_abort(owner, owner.send(1, data("cd")),
                 "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab");
  }
  {
    Asked owner;
    owner.say(1, head_with(200, {}, 3));
    owner.say(1, data("ab"));
    expect_abort(owner, owner.send(1, http::End{}),
                 "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab");
  }
}

TEST(Http1Sending, SendsNoBodyToHeadButTheLengthThereWouldBe) {
  EXPECT_EQ(sent(head_request, response(200, "abc")),
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(sent(head_request, response(200, "", {{"Content-Length", "9"}})),
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
  EXPECT_EQ(sent(head_request, message_with(head_with(200, {}, 9), "")),
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
  Asked owner(head_request);
  owner.say(1, ResponseHead{});
  owner.say(1, data("abc"));
  owner.say(1, http::End{});
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::go_on);
}

TEST(Http1Sending, SendsNoBodyAndNoLengthWith204) {
  EXPECT_EQ(sent(get, response(204, "")), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(sent(get, response(204, "abc", {{"A", "b"}, {"Content-Length", "3"}, {"C", "d"}})),
            "HTTP/1.1 204 No Content\r\nA: b\r\nC: d\r\n\r\n");
}

TEST(Http1Sending, SendsNoBodyWith304) {
  EXPECT_EQ(sent(get, response(304, "")), "HTTP/1.1 304 Not Modified\r\n\r\n");
  EXPECT_EQ(sent(get, response(304, "abc")),
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(sent(get, message_with(head_with(304, {}, 7), "")),
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n");
}

// ----------------------------------------------------------------------------------------------
// heads

TEST(Http1Sending, SendsInterimResponsesBeforeTheFinalOne) {
  Asked owner;
  owner.say(1, head_with(103, {{"Link", "</a>"}}));
  owner.say(1, head_with(102));
  owner.say(1, response(200, ""));
  EXPECT_EQ(owner.output,
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST(Http1Sending, HonoursTheApplicationsConnectionClose) {
  Asked owner;
  owner.say(1, response(200, "", {{"Connection", "close"}}));
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close_lingering);
}

TEST(Http1Sending, RefusesFieldsThatAreTheCodecsBusinessAndStaysUsable) {
  for (auto const& fields :
       {Fields{{"Transfer-Encoding", "chunked"}},
        Fields{{"Content-Length", "3"}, {"Content-Length", "3"}}, Fields{{"Content-Length", "+3"}},
        Fields{{"Content-Length", ""}}, Fields{{"Content-Length", "99999999999999999999"}}}) {
    Asked owner;
    auto const status = owner.send(1, response(200, "abc", fields));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Errc::invalid_field);
    owner.say(1, response(500, ""));
    EXPECT_EQ(owner.output, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
  }
  for (std::uint16_t const status : {0, 99, 1000}) {
    Asked owner;
    EXPECT_FALSE(owner.send(1, response(status, "")));
    EXPECT_EQ(owner.output, "");
  }
}

TEST(Http1Sending, RefusesTrailersThatChangeTheMessage) {
  Asked owner;
  owner.say(1, ResponseHead{});
  auto const status = owner.send(1, http::End{{{"Content-Length", "3"}}});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::invalid_field);
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close)
      << "what has begun cannot be ended properly";
}

TEST(Http1Sending, TellsConnectionAboutUpgrade) {
  EXPECT_EQ(sent(get, response(426, "", {{"Upgrade", "x"}})),
            "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nConnection: upgrade\r\nUpgrade: "
            "x\r\n\r\n");
}

// ----------------------------------------------------------------------------------------------
// order

TEST(Http1Sending, RefusesPartsInTheWrongOrder) {
  auto const expect_wrong = [](base::Status status) {
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Errc::wrong_state);
  };
  Owner owner(Side::server, nullptr);
  expect_wrong(owner.send(1, response(200, "")));  // nobody asked
  expect_wrong(owner.send(0, response(200, "")));
  owner.feed(get);
  expect_wrong(owner.send(2, response(200, "")));  // another stream
  expect_wrong(owner.send(1, data("x")));          // no head so far
  expect_wrong(owner.send(1, http::End{}));
  expect_wrong(owner.send(1, http::RequestHead{}));
  expect_wrong(owner.send(1, http::RequestMessage{}));
  owner.say(1, ResponseHead{});
  expect_wrong(owner.send(1, ResponseHead{}));  // one head is enough
  expect_wrong(owner.send(1, response(200, "")));
  expect_wrong(owner.send(1, head_with(103)));
  owner.say(1, http::End{});
  expect_wrong(owner.send(1, data("x")));  // it is over
  expect_wrong(owner.send(1, http::End{}));
  expect_wrong(owner.send(1, http::Reset{}));
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::go_on);
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

TEST(Http1Sending, BreaksOffWhatIsReset) {
  Asked owner;
  owner.say(1, ResponseHead{});
  owner.say(1, data("abc"));
  owner.say(1, http::Reset{});
  EXPECT_EQ(owner.output, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
      << "no last chunk";
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close);
  Asked unanswered;
  unanswered.say(1, http::Reset{});
  EXPECT_EQ(unanswered.output, "");
  EXPECT_EQ(unanswered.codec->afterwards(), Afterwards::close);
}

TEST(Http1Sending, KeepsAnIdleConnectionSmall) { EXPECT_LE(sizeof(http1::Codec), 400U); }

http::ChainedResponse chained(std::uint16_t status) {
  http::ChainedResponse answer{head_with(status), {}};
  answer.body.append(ByteView("before "));
  answer.body.append(base::FileSlice{{}, 4, 1000});
  answer.body.append(ByteView(" behind"));
  return answer;
}

TEST(Http1Sending, SendsBytesAndSlicesOfFilesAsOneBody) {
  EXPECT_EQ(sent(get, chained(200)),
            "HTTP/1.1 200 OK\r\nContent-Length: 1014\r\n\r\nbefore [file 4+1000] behind");
}

TEST(Http1Sending, SendsNoPieceWhereThereIsNoBody) {
  EXPECT_EQ(sent(head_request, chained(200)), "HTTP/1.1 200 OK\r\nContent-Length: 1014\r\n\r\n");
  EXPECT_EQ(sent(get, chained(204)), "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST(Http1Sending, ClosesAnHttp10ConnectionBehindAChainOfPieces) {
  Asked owner("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  owner.say(1, chained(200));
  EXPECT_EQ(owner.output,
            "HTTP/1.1 200 OK\r\nContent-Length: 1014\r\nConnection: close\r\n\r\n"
            "before [file 4+1000] behind");
  EXPECT_NE(owner.codec->afterwards(), Afterwards::go_on);
}

TEST(Http1Sending, RefusesPiecesWithoutAnExchangeAndAsAnInterimAnswer) {
  Owner owner(Side::server, nullptr);
  EXPECT_EQ(owner.send(1, chained(200)).error().code, Errc::wrong_state);
  Asked asked;
  EXPECT_EQ(asked.send(1, chained(103)).error().code, Errc::invalid_field);
}

}  // namespace
}  // namespace millrace::test
