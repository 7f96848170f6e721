// The client's side: requests on the wire, and responses of every kind of framing.
#include <gtest/gtest.h>

#include "proto/play.hpp"

namespace millrace::test {
namespace {

using base::Errc;
using http::Fields;
using http::Method;
using http::RequestHead;
using http::RequestMessage;
using http1::Rule;
using proto::Afterwards;
using proto::Side;

RequestHead request(Method method = Method::get, std::string target = "/", Fields fields = {}) {
  RequestHead head;
  head.method = method;
  head.target = std::move(target);
  head.authority = "a";
  head.fields = std::move(fields);
  return head;
}
RequestMessage whole(RequestHead head, std::string body = {}) {
  return {std::move(head), base::Bytes::from(std::move(body))};
}

void grant_all(Owner& owner, const http::Event& event) {
  auto const* head = std::get_if<http::HeadReceived>(&event.what);
  if (head && !head->ends_stream) owner.say(event.stream, unlimited());
}

// A client that has sent one request.
struct Asking : Owner {
  explicit Asking(RequestHead head = request(), Application application = grant_all,
                  const http::Limits& limits = default_limits)
      : Owner(Side::client, std::move(application), limits) {
    say(1, whole(std::move(head)));
    take_output();
  }
};

std::string sent(http::Part part) {
  Owner owner(Side::client, nullptr);
  owner.say(1, std::move(part));
  return owner.output + owner.events;
}

TEST(Http1Client, WritesRequests) {
  EXPECT_EQ(sent(whole(request(Method::get, "/a?b", {{"C", "d"}}))),
            "GET /a?b HTTP/1.1\r\nHost: a\r\nC: d\r\n\r\n");
  EXPECT_EQ(sent(whole(request(Method::post), "abc")),
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(sent(whole(request(Method::put))),
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(sent(whole(request(Method::delete_))), "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(sent(whole(request(Method::get, "/", {{"host", "b"}}))),
            "GET / HTTP/1.1\r\nhost: b\r\n\r\n");
  auto other = request(Method::other);
  other.method_text = "BREW";
  EXPECT_EQ(sent(whole(std::move(other))), "BREW / HTTP/1.1\r\nHost: a\r\n\r\n");
  auto const target = "/" + std::string(10'000, 'x');
  EXPECT_EQ(sent(whole(request(Method::get, target))),
            "GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST(Http1Client, WritesPresetFieldsOnce) {
  Fields const preset{{"User-Agent", "x"}};
  auto head = request();
  head.preset = &preset;
  EXPECT_EQ(sent(whole(std::move(head))), "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\n\r\n");
}

TEST(Http1Client, StreamsRequestBodies) {
  auto head = request(Method::post);
  head.has_body = true;
  Owner owner(Side::client, nullptr);
  owner.say(1, head);
  owner.say(1, data("abc"));
  owner.say(1, http::End{{{"Digest", "d"}}});
  EXPECT_EQ(owner.output,
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
            "chunked\r\n\r\n3\r\nabc\r\n0\r\nDigest: d\r\n\r\n");

  head.content_length = 3;
  Owner declared(Side::client, nullptr);
  declared.say(1, head);
  declared.say(1, data("abc"));
  EXPECT_EQ(declared.send(1, data("d")).error().code, Errc::body_length_mismatch);
  EXPECT_EQ(declared.output, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(declared.codec->afterwards(), Afterwards::close);
}

TEST(Http1Client, AcceptsAnEndForARequestWithoutABody) {
  Owner owner(Side::client, nullptr);
  owner.say(1, request());
  owner.say(1, http::End{});
  EXPECT_EQ(owner.output, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(owner.events, "");
}

TEST(Http1Client, RefusesToSendWhatIsNoRequest) {
  auto bad_method = request(Method::other);
  bad_method.method_text = "A B";
  auto no_authority = request();
  no_authority.authority.clear();
  auto bad_authority = request();
  bad_authority.authority = "a\r\nb: c";
  for (auto const& head : {bad_method, no_authority, bad_authority, request(Method::get, ""),
                           request(Method::get, "/ b"), request(Method::get, "/\r\n"),
                           request(Method::get, "/", {{"Transfer-Encoding", "chunked"}}),
                           request(Method::get, "/", {{"Content-Length", "x"}})}) {
    Owner owner(Side::client, nullptr);
    auto const status = owner.send(1, whole(head));
    ASSERT_FALSE(status) << head.target;
    EXPECT_EQ(status.error().code, Errc::invalid_field);
    EXPECT_EQ(owner.output, "");
  }
}

TEST(Http1Client, SendsOneRequestAtATime) {
  Asking owner;
  EXPECT_EQ(owner.send(2, whole(request())).error().code, Errc::wrong_state);
  owner.feed("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(owner.send(1, whole(request())).error().code, Errc::wrong_state) << "ids count up";
  EXPECT_EQ(owner.send(3, whole(request())).error().code, Errc::wrong_state);
  owner.say(2, whole(request()));
  owner.feed("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(owner.events, "1 204 No Content end\n2 204 No Content end\n");
  EXPECT_EQ(owner.send(3, response(200, "")).error().code, Errc::wrong_state);
}

// ----------------------------------------------------------------------------------------------
// responses

struct Response {
  std::string text;
  std::string events;
  Afterwards afterwards = Afterwards::go_on;
  Method asked = Method::get;
  bool then_eof = false;
};

TEST(Http1Client, ReadsResponsesOfEveryFramingAtEveryCut) {
  std::vector<Response> const rows{
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
       "1 200 OK length=3 body\n1 data abc\n1 end\n"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "1 200 OK length=0 end\n"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\nX: "
       "y\r\n\r\n",
       "1 200 OK body\n1 data abc\n1 end {X=y}\n"},
      {"HTTP/1.1 200 OK\r\n\r\nabc", "1 200 OK body last\n1 data abc\n1 end\n", Afterwards::close,
       Method::get, true},
      {"HTTP/1.1 200 OK\r\n\r\n", "1 200 OK body last\n1 end\n", Afterwards::close, Method::get,
       true},
      {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
       "1 200 OK 1.0 length=1 body last\n1 data a\n1 end\n", Afterwards::close},
      {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
       "1 200 OK 1.0 length=1 body\n1 data a\n1 end\n"},
      {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na",
       "1 200 OK length=1 body last\n1 data a\n1 end\n", Afterwards::close},
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "1 200 OK length=3 end\n", Afterwards::go_on,
       Method::head},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1 200 OK end\n", Afterwards::go_on,
       Method::head},
      {"HTTP/1.1 204 No Content\r\n\r\n", "1 204 No Content end\n"},
      {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "1 204 No Content length=0 end\n"},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
       "1 304 Not Modified length=5 end\n"},
      {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "1 200  length=0 end\n"},
      {"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "1 200  length=0 end\n"},
      {"HTTP/1.1 777 \xc3\xa9\tx\r\nContent-Length: 0\r\n\r\n", "1 777 \xc3\xa9\tx length=0 end\n"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 "
       "OK\r\nContent-Length: 1\r\n\r\na",
       "1 100 Continue\n1 103 Early Hints {Link=a}\n1 200 OK length=1 body\n1 data a\n1 end\n"},
      {"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\n", "1 404 Not Found length=1 end\n",
       Afterwards::go_on, Method::head},
      {"HTTP/1.1 403 Forbidden\r\nContent-Length: 1\r\n\r\na",
       "1 403 Forbidden length=1 body\n1 data a\n1 end\n", Afterwards::go_on, Method::connect},
  };
  for (auto const& row : rows)
    for (auto const& cut : cuts(row.text)) {
      SCOPED_TRACE(row.text + "\n" + where(cut));
      Asking owner(request(row.asked, row.asked == Method::connect ? "a:80" : "/"));
      for (auto const piece : cut) owner.feed(piece);
      if (row.then_eof) owner.feed_eof();
      ASSERT_FALSE(owner.has_failed()) << owner.error->message();
      ASSERT_EQ(owner.events, row.events);
      ASSERT_EQ(owner.codec->afterwards(), row.afterwards);
    }
}

TEST(Http1Client, RefusesWhatIsNoResponseAtEveryCut) {
  struct Row {
    Rule rule;
    std::string text;
  };
  std::vector<Row> const rows{
      {Rule::status_line, "\r\nHTTP/1.1 200 OK\r\n\r\n"},
      {Rule::status_line, "HTTP/1.1  200 OK\r\n\r\n"},
      {Rule::status_line, "HTTP/1.1 20 OK\r\n\r\n"},
      {Rule::status_line, "HTTP/1.1 2000 OK\r\n\r\n"},
      {Rule::status_line, "HTTP/1.1 099 OK\r\n\r\n"},
      {Rule::status_line, "HTTP/1.1 +20 OK\r\n\r\n"},
      {Rule::status_line, "HTTP/1.1 200OK\r\n\r\n"},
      {Rule::status_line, "HTTP/1.1\r\n\r\n"},
      {Rule::status_line, "http/1.1 200 OK\r\n\r\n"},
      {Rule::status_line, "ICY 200 OK\r\n\r\n"},
      {Rule::status_line, "HTTP/1.1 200 O\x01K\r\n\r\n"},
      {Rule::status_line, "GET / HTTP/1.1\r\n\r\n"},
      {Rule::version, "HTTP/2.0 200 OK\r\n\r\n"},
      {Rule::version, "HTTP/0.9 200 OK\r\n\r\n"},
      {Rule::line_end, "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
      {Rule::line_end, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"},
      {Rule::line_folding, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"},
      {Rule::space_before_colon, "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"},
      {Rule::length_form, "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n"},
      {Rule::length_form, "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n"},
      {Rule::length_repeated, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"},
      {Rule::length_beside_coding,
       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {Rule::coding_in_http10, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {Rule::coding_unknown, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"},
      {Rule::coding_order, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"},
      {Rule::coding_without_body, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {Rule::coding_without_body, "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {Rule::chunk_size, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx"},
      {Rule::chunk_end, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc"},
      {Rule::unasked_upgrade,
       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"},
  };
  for (auto const& row : rows)
    for (auto const& cut : cuts(row.text)) {
      SCOPED_TRACE(row.text + "\n" + where(cut));
      Asking owner;
      for (auto const piece : cut)
        if (!owner.has_failed()) owner.feed(piece);
      ASSERT_TRUE(owner.has_failed());
      auto const& expected = http1::describe(row.rule);
      ASSERT_EQ(owner.error->code, expected.code) << owner.error->detail;
      ASSERT_EQ(owner.error->detail.substr(0, expected.says.size()), expected.says);
      ASSERT_EQ(owner.output, "");
      ASSERT_EQ(owner.codec->afterwards(), Afterwards::close);
    }
}

TEST(Http1Client, RefusesAResponseNobodyAskedFor) {
  Owner owner(Side::client, nullptr);
  owner.feed("H");
  ASSERT_TRUE(owner.has_failed());
  EXPECT_EQ(owner.error->code, Errc::unexpected_message);
}

TEST(Http1Client, KeepsAGoodResponseButNotAConnectionWithMoreBehindIt) {
  Asking owner;
  owner.feed(
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(owner.events.ends_with("1 data a\n1 end\n")) << owner.events;
  // The rest came in the same piece or in the next: either way no further request may be answered
  // by it.
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close);
  EXPECT_FALSE(owner.send(2, whole(request())));
}

TEST(Http1Client, LimitsInterimResponses) {
  Asking owner;
  for (int i = 0; i < http1::interim_most; ++i) owner.feed("HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_FALSE(owner.has_failed());
  owner.feed("HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(owner.has_failed());
  EXPECT_EQ(owner.error->code, Errc::unexpected_message);
}

TEST(Http1Client, LimitsHeads) {
  http::Limits limits;
  limits.head_bytes = 100;
  limits.field_count = 2;
  Asking large(request(), grant_all, limits);
  large.feed("HTTP/1.1 200 OK\r\nA: " + std::string(100, 'x'));
  EXPECT_EQ(large.error->code, Errc::head_too_large);
  Asking many(request(), grant_all, limits);
  many.feed("HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n");
  EXPECT_EQ(many.error->code, Errc::too_many_fields);
}

TEST(Http1Client, TakesAnEarlyEndForAnError) {
  for (std::string const text :
       {"", "H", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"}) {
    Asking owner;
    owner.feed(text);
    owner.feed_eof();
    ASSERT_TRUE(owner.has_failed()) << text;
    EXPECT_EQ(owner.error->code, Errc::incomplete_message);
    EXPECT_EQ(owner.error->retry(), base::Retry::on_new_connection);
  }
  Owner idle(Side::client, nullptr);
  idle.feed_eof();
  EXPECT_FALSE(idle.has_failed());
  EXPECT_EQ(idle.codec->afterwards(), Afterwards::close);
}

TEST(Http1Client, PullsABodyByCredit) {
  Asking owner(request(), nullptr);
  owner.feed("HTTP/1.1 200 OK\r\n\r\nabcdef");
  EXPECT_EQ(owner.take_events(), "1 200 OK body last\n");
  owner.say(1, http::Credit{2});
  EXPECT_EQ(owner.take_events(), "1 data ab\n");
  EXPECT_EQ(owner.pending, "cdef");
}

TEST(Http1Client, MayGiveCreditAheadOfTheResponse) {
  Asking owner(request(), nullptr);
  owner.say(1, http::Credit{4});
  owner.feed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(owner.events, "1 200 OK length=3 body\n1 data abc\n1 end\n");
}

TEST(Http1Client, HandsTheStreamOverBehind101) {
  auto const head =
      std::string("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
  auto const text = head + "left over";
  for (auto const& cut : cuts(text)) {
    SCOPED_TRACE(where(cut));
    Asking owner(request(Method::get, "/", {{"Connection", "upgrade"}, {"Upgrade", "x"}}));
    for (auto const piece : cut) owner.feed(piece);
    ASSERT_FALSE(owner.has_failed());
    ASSERT_EQ(owner.events, "1 101 Switching Protocols upgrade end\n");
    ASSERT_EQ(owner.codec->afterwards(), Afterwards::hand_over);
    ASSERT_EQ(owner.pending, "left over");
  }
}

TEST(Http1Client, HandsTheStreamOverBehindATunnelsHead) {
  Asking owner(request(Method::connect, "a:443"));
  owner.feed("HTTP/1.1 200 Connection Established\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(owner.events, "1 200 Connection Established length=5 end\n");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::hand_over);
  EXPECT_EQ(owner.pending, "hello") << "RFC 9110 9.3.6: a length there means nothing";
}

TEST(Http1Client, RefusesASwitchBeforeItsRequestIsOver) {
  for (auto const method : {Method::connect, Method::post}) {
    auto head = request(method, method == Method::connect ? "a:443" : "/",
                        {{"Connection", "upgrade"}, {"Upgrade", "x"}});
    head.has_body = true;
    Owner owner(Side::client, grant_all);
    owner.say(1, head);
    owner.feed(method == Method::connect ? "HTTP/1.1 200 OK\r\n\r\n" : "HTTP/1.1 101 X\r\n\r\n");
    ASSERT_TRUE(owner.has_failed());
    EXPECT_EQ(owner.error->code, Errc::unexpected_message);
  }
}

TEST(Http1Client, ClosesBehindAResponseToItsOwnClose) {
  Asking owner(request(Method::get, "/", {{"Connection", "close"}}));
  owner.feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close);
}

TEST(Http1Client, ClosesWhenTheAnswerIsOverBeforeTheRequest) {
  auto head = request(Method::post);
  head.has_body = true;
  Owner owner(Side::client, grant_all);
  owner.say(1, head);
  owner.feed("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");
  EXPECT_TRUE(owner.events.ends_with("1 end\n"));
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::close);
}

TEST(Http1Client, MayFinishARequestThatWasAnsweredEarly) {
  auto head = request(Method::post);
  head.has_body = true;
  Owner owner(Side::client, grant_all);
  owner.say(1, head);
  owner.feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(owner.codec->afterwards(), Afterwards::go_on);
  EXPECT_FALSE(owner.send(2, whole(request())));
  owner.say(1, data("x"));
  owner.say(1, http::End{});
  owner.say(2, whole(request()));
  EXPECT_TRUE(owner.output.ends_with("0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST(Http1Client, HasDeadlinesOnlyForWhatHasBegun) {
  Asking owner;
  auto const never = owner.codec->deadline();
  EXPECT_GT(never, base::seconds(1'000'000));
  owner.now = 3;
  owner.feed("H");
  EXPECT_EQ(owner.codec->deadline(), 3 + default_limits.header_timeout);
  owner.now = 4;
  owner.feed("TTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(owner.codec->deadline(), 4 + default_limits.body_timeout);
  owner.tick_at(owner.codec->deadline());
  EXPECT_EQ(owner.error->code, Errc::body_timeout);
  EXPECT_EQ(owner.output, "");
}

}  // namespace
}  // namespace millrace::test
