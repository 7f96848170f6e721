#include "bench_of_one_connection.hpp"
#include "proto/coding/coded.hpp"

namespace millrace::conn {
namespace {

using coding::Coding;
using coding::encoded;

constexpr coding::DecodeLimits limits_of_tests{
    .codings = 1, .ratio = 50, .ratio_from_bytes = 100'000};

std::string post(const std::string& body) {
  return "POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

class CodedBody : public OneConnection {
 protected:
  void collect(std::size_t limit) {
    service.exchange = [limit](Exchange& x) {
      x.decode_body({Coding::gzip}, limits_of_tests);
      x.collect_body(limit);
    };
    serve_http1();
  }

  void stream() {
    service.exchange = [this](Exchange& x) {
      open = &x;
      x.decode_body({Coding::gzip}, limits_of_tests);
      x.stream_body();
    };
    serve_http1();
  }

  // Reads until there is nothing for now.
  base::Result<BodyReader::Piece> read_on() {
    for (;;) {
      auto piece = open->body.read();
      if (!piece || piece->waiting || piece->at_end) return piece;
      text += piece->bytes.view();
      open->return_credit();
    }
  }

  Exchange* open = nullptr;
  std::string text;
};

std::string sample(std::size_t size) {
  std::string text;
  for (unsigned i = 1; text.size() < size; i = i * 1'664'525 + 1'013'904'223)
    text += std::to_string(i) + '\n';
  text.resize(size);
  return text;
}

TEST_F(CodedBody, IsBufferedDecodedWhereverItIsSplit) {
  auto const request = post(encoded(sample(500), Coding::gzip));
  for (std::size_t split = 0; split <= request.size(); ++split) {
    SCOPED_TRACE(split);
    collect(500);
    peer->says(request.substr(0, split));
    peer->says(request.substr(split));
    ASSERT_TRUE(peer->heard.ends_with("\r\n\r\n" + sample(500)));
    peer->leaves();
  }
}

TEST_F(CodedBody, IsRefusedOneByteOverItsLimitDecoded) {
  collect(500);
  peer->says(post(encoded(sample(501), Coding::gzip)));
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 413 ")) << peer->heard;
}

TEST_F(CodedBody, MayBeLongerCodedThanItsLimit) {
  collect(5);
  peer->says(post(encoded("short", Coding::gzip)));
  EXPECT_TRUE(peer->heard.ends_with("\r\n\r\nshort")) << peer->heard;
}

TEST_F(CodedBody, IsRefusedWhereItIsMalformed) {
  collect(500);
  peer->says(post("this is no gzip"));
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 400 ")) << peer->heard;
  EXPECT_EQ(reactor.counters().bodies_malformed.get(), 1u);
  peer->leaves();
  collect(500);
  auto const cut = encoded(sample(500), Coding::gzip);
  peer->says(post(cut.substr(0, cut.size() - 1)));
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 400 ")) << peer->heard;
  EXPECT_EQ(reactor.counters().bodies_malformed.get(), 2u);
}

TEST_F(CodedBody, IsRefusedAsABombLongBeforeItsEnd) {
  collect(1'000'000'000);
  peer->says(post(encoded(std::string(50'000'000, '\0'), Coding::gzip)));
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 413 ")) << peer->heard.substr(0, 100);
  EXPECT_EQ(reactor.counters().bodies_over_ratio.get(), 1u);
}

TEST_F(CodedBody, HasFieldsOfWhatTheHandlerReads) {
  service.body = [](Exchange& x) {
    auto const& head = x.head;
    bool const is_plain =
        !head.find("content-encoding") && !head.find(http::FieldId::content_length);
    EXPECT_TRUE(is_plain);
    EXPECT_FALSE(head.content_length());
    EXPECT_EQ(head.find("host"), "a");
    x.reply({}, {});
  };
  collect(500);
  peer->says(post(encoded("x", Coding::gzip)));
  EXPECT_EQ(service.done, 1);
}

TEST_F(CodedBody, FlowsToItsReaderNoFurtherThanALittleAhead) {
  stream();
  auto const whole = sample(3'000'000);
  peer->says(post(encoded(whole, Coding::gzip)));
  EXPECT_LE(open->body.received(), BodyReader::decoded_ahead_bytes + 16 * 1024)
      << "nobody has read yet";
  for (int i = 0; i < 1000; ++i) {
    auto const piece = read_on();
    ASSERT_TRUE(piece) << piece.error().message();
    EXPECT_LE(open->body.received(), text.size() + BodyReader::decoded_ahead_bytes + 16 * 1024);
    if (piece.value().at_end) break;
    peer->settle();
  }
  EXPECT_TRUE(text == whole);
  open->reply({}, {});
}

TEST_F(CodedBody, GoesOnWhereInputDecodesToNothing) {
  stream();
  // More empty members than the sender has credit for.
  auto const member = encoded("", Coding::gzip);
  std::string members;
  for (int i = 0; i < 80'000; ++i) members += member;
  ASSERT_GT(members.size(), 3 * options.body_ahead_bytes);
  peer->says(post(members + encoded("the end", Coding::gzip)));
  auto const piece = read_on();
  ASSERT_TRUE(piece) << piece.error().message();
  EXPECT_TRUE(piece.value().at_end);
  EXPECT_EQ(text, "the end");
  open->reply({}, {});
}

TEST_F(CodedBody, FailsItsReaderWhereItIsMalformed) {
  stream();
  auto bytes = encoded(sample(1000), Coding::gzip);
  bytes[bytes.size() - 8] ^= 1;
  peer->says(post(bytes));
  auto const piece = read_on();
  ASSERT_FALSE(piece);
  EXPECT_EQ(piece.error().code, base::Errc::bad_content_coding);
  EXPECT_EQ(reactor.counters().bodies_malformed.get(), 1u);
  open->fail(piece.error());
  peer->settle();
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 400 ")) << peer->heard;
}

TEST_F(CodedBody, DropsWhatComesAfterItHasFailed) {
  stream();
  peer->says("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\nnonsense");
  peer->says(std::string(39'992, 'x'));
  ASSERT_FALSE(read_on());
  EXPECT_EQ(reactor.counters().bodies_malformed.get(), 1u) << "once";
  open->fail({base::Errc::bad_content_coding, {}, {}});
  peer->settle();
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 400 ")) << peer->heard;
}

TEST_F(CodedBody, KeepsItsTrailers) {
  stream();
  auto const coded = encoded("text", Coding::gzip);
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", coded.size());
  peer->says("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + (size + coded) +
             "\r\n0\r\nX-Sum: 7\r\n\r\n");
  auto const piece = read_on();
  ASSERT_TRUE(piece && piece.value().at_end);
  EXPECT_EQ(text, "text");
  EXPECT_EQ(open->body.trailers().find("x-sum"), "7");
  open->reply({}, {});
}

}  // namespace
}  // namespace millrace::conn
