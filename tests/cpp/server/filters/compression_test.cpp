// Which answers are compressed, and what becomes of their fields.
#include "millrace/server/filters/compression.hpp"

#include "conn/bench_of_one_connection.hpp"
#include "proto/coding/coded.hpp"

#include "millrace/server/filters/compression_step.hpp"

namespace millrace::server {
namespace {

using coding::Coding;
using conn::Exchange;
using http::Fields;
using http::ResponseHead;

Settings settings(std::vector<std::string> codings = {"zstd", "br", "gzip"},
                  bool with_credentials = false) {
  return Settings({{"codings", std::move(codings)},
                   {"zstd_level", std::int64_t{1}},
                   {"br_level", std::int64_t{3}},
                   {"gzip_level", std::int64_t{5}},
                   {"minimum_bytes", std::int64_t{100}},
                   {"content_types", std::vector<std::string>{"text/*", "+json", "a/b"}},
                   {"with_credentials", with_credentials}});
}

CompressionRules const rules{100, {"text/*", "+json", "a/b"}, false};

ResponseHead head_with(Fields fields, std::uint16_t status = 200) {
  ResponseHead head;
  head.status = status;
  head.fields = std::move(fields);
  return head;
}

bool may(Fields fields, std::optional<std::uint64_t> size = 1000, std::uint16_t status = 200) {
  return may_be_compressed(head_with(std::move(fields), status), size, rules);
}

TEST(CompressionRules, KnowTheTypesThatTheyName) {
  for (auto const* type : {"text/html", "TEXT/Plain; charset=utf-8", "a/b", "application/ld+json"})
    EXPECT_TRUE(may({{"Content-Type", type}})) << type;
  for (auto const* type : {"image/png", "a/bc", "text", "application/json", ""})
    EXPECT_FALSE(may({{"Content-Type", type}})) << type;
  EXPECT_FALSE(may({})) << "no type at all";
}

TEST(CompressionRules, LeaveAloneWhatIsTooShortWhereThatIsKnown) {
  EXPECT_TRUE(may({{"Content-Type", "a/b"}}, 100));
  EXPECT_FALSE(may({{"Content-Type", "a/b"}}, 99));
  EXPECT_TRUE(may({{"Content-Type", "a/b"}}, std::nullopt));
}

TEST(CompressionRules, LeaveAloneWhatHasACodingOrARangeOrForbidsIt) {
  for (auto const& [name, value] : {std::pair{"Content-Encoding", "br"},
                                    {"content-encoding", "identity"},
                                    {"Content-Range", "bytes 0-1/2"},
                                    {"Accept-Ranges", "bytes"},
                                    {"Cache-Control", "max-age=3, No-Transform"}})
    EXPECT_FALSE(may({{"Content-Type", "a/b"}, {name, value}})) << name;
  EXPECT_TRUE(may({{"Content-Type", "a/b"}, {"Cache-Control", "no-cache"}}));
}

TEST(CompressionRules, LeaveAloneAnswersWithoutABody) {
  for (std::uint16_t const status : {101, 103, 204, 205, 304})
    EXPECT_FALSE(may({{"Content-Type", "a/b"}}, 1000, status)) << status;
  for (std::uint16_t const status : {200, 201, 404, 500})
    EXPECT_TRUE(may({{"Content-Type", "a/b"}}, 1000, status)) << status;
}

TEST(Compression, RefusesSettingsThatItDoesNotKnow) {
  EXPECT_TRUE(Filters::make({{"compression", "", settings()}}));
  for (auto const* name : {"deflate", "compress", ""}) {
    auto const made = Filters::make({{"compression", "", settings({name})}});
    ASSERT_FALSE(made) << name;
    EXPECT_NE(made.error().detail.find("none of zstd, br and gzip"), std::string::npos);
  }
  EXPECT_FALSE(Filters::make({{"compression", "", settings({})}}));
  EXPECT_FALSE(Filters::make({{"compression", "", {}}}));
}

// ----------------------------------------------------------------------------------------------
// on a connection

class Compressed : public conn::OneConnection {
 protected:
  void serve_with(Settings chosen, std::function<void(Exchange&)> handler) {
    filters = std::move(*Filters::make({{"compression", "", std::move(chosen)}}));
    service.exchange = [this, handler = std::move(handler)](Exchange& x) {
      (void)filters.on_request(x);
      handler(x);
    };
    serve_http1();
  }

  void ask(const std::string& fields, const std::string& method = "GET") {
    peer->heard.clear();
    peer->says(method + " / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
    auto const end = peer->heard.find("\r\n\r\n") + 4;
    head = peer->heard.substr(0, end);
    body = peer->heard.substr(end);
  }
  bool says(const std::string& line) const { return head.find(line + "\r\n") != head.npos; }

  Filters filters;
  std::string head, body;
};

std::string const text(5000, 't');

void reply(Exchange& x, Fields fields = {}, std::uint16_t status = 200) {
  fields.add("Content-Type", "text/plain");
  x.reply(head_with(std::move(fields), status), base::Bytes::borrowed(text));
}

TEST_F(Compressed, TakesTheCodingThatTheClientLikesBest) {
  serve_with(settings(), [](Exchange& x) { reply(x); });
  struct {
    std::string_view accepts, coding;
  } const rows[] = {
      {"gzip, deflate, br, zstd", "zstd"},
      {"gzip, br", "br"},
      {"gzip", "gzip"},
      {"zstd;q=0.5, gzip;q=0.9", "gzip"},
      {"br;q=0, *", "zstd"},
      {"*;q=0", ""},
      {"deflate", ""},
      {"identity, gzip;q=.5", ""},
      {"x-gzip", "gzip"},
  };
  for (auto const& [accepts, coding] : rows) {
    SCOPED_TRACE(accepts);
    ask("Accept-Encoding: " + std::string(accepts) + "\r\n");
    EXPECT_TRUE(says("Vary: Accept-Encoding"));
    if (coding.empty()) {
      EXPECT_EQ(head.find("Content-Encoding"), head.npos);
      EXPECT_EQ(body, text);
    } else {
      EXPECT_TRUE(says("Content-Encoding: " + std::string(coding)));
      EXPECT_TRUE(says("Content-Length: " + std::to_string(body.size())));
      EXPECT_EQ(coding::decoded(body, *coding::coding_named(coding)).text, text);
    }
  }
  ask("");
  EXPECT_TRUE(says("Vary: Accept-Encoding")) << "a client that says nothing gets it as it is";
  EXPECT_EQ(body, text);
}

TEST_F(Compressed, AnswersHeadWithTheFieldsOfGet) {
  serve_with(settings(), [](Exchange& x) { reply(x); });
  ask("Accept-Encoding: gzip\r\n");
  auto const of_get = head;
  ask("Accept-Encoding: gzip\r\n", "HEAD");
  EXPECT_EQ(head, of_get);
  EXPECT_EQ(body, "");
}

TEST_F(Compressed, MakesStrongTagsWeak) {
  static const Fields preset{{"ETag", "\"p\""}, {"X-P", "1"}};
  serve_with(settings(), [](Exchange& x) {
    if (x.head.find("x-weak")) return reply(x, {{"ETag", "W/\"a\""}});
    auto head = head_with({{"Content-Type", "text/plain"}});
    head.preset = &preset;
    x.reply(std::move(head), base::Bytes::borrowed(text));
  });
  ask("Accept-Encoding: gzip\r\n");
  EXPECT_TRUE(says("ETag: W/\"p\""));
  EXPECT_TRUE(says("X-P: 1"));
  ask("");
  EXPECT_TRUE(says("ETag: \"p\"")) << "as it is";
  ask("X-Weak: 1\r\nAccept-Encoding: gzip\r\n");
  EXPECT_TRUE(says("ETag: W/\"a\""));
}

TEST_F(Compressed, LeavesAnswersThatMayHoldSecretsAsTheyAre) {
  auto const handler = [](Exchange& x) {
    x.head.find("x-set") ? reply(x, {{"Set-Cookie", "a=b"}}) : reply(x);
  };
  std::string const accepts = "Accept-Encoding: gzip\r\n";
  for (bool const anyway : {false, true}) {
    serve_with(settings({"gzip"}, anyway), handler);
    for (auto const* field : {"Cookie: a=b\r\n", "Authorization: Basic eA==\r\n", "X-Set: 1\r\n"}) {
      ask(accepts + field);
      EXPECT_EQ(says("Content-Encoding: gzip"), anyway) << field;
      EXPECT_TRUE(says("Vary: Accept-Encoding")) << field;
    }
    peer->leaves();
  }
}

TEST_F(Compressed, SaysVaryOnceAndOnNotModifiedToo) {
  serve_with(settings(), [](Exchange& x) {
    if (x.head.find("if-none-match")) return x.reply(head_with({{"ETag", "\"a\""}}, 304), {});
    reply(x, {{"Vary", "Origin, accept-encoding"}});
  });
  ask("Accept-Encoding: gzip\r\n");
  EXPECT_EQ(head.find("Vary: Accept-Encoding"), head.npos);
  ask("Accept-Encoding: gzip\r\nIf-None-Match: \"a\"\r\n");
  EXPECT_TRUE(says("Vary: Accept-Encoding"));
  EXPECT_TRUE(says("ETag: \"a\""));
}

TEST_F(Compressed, LeavesWhatDoesNotGetSmallerAsItIs) {
  static std::string const noise = [] {
    std::string bytes;
    std::uint64_t x = 88172645463325252;
    while (bytes.size() < 200) {
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      bytes += static_cast<char>(x);
    }
    return bytes;
  }();
  serve_with(settings(), [](Exchange& x) {
    x.reply(head_with({{"Content-Type", "text/plain"}, {"ETag", "\"n\""}}),
            base::Bytes::borrowed(noise));
  });
  ask("Accept-Encoding: gzip\r\n");
  EXPECT_EQ(body, noise);
  EXPECT_TRUE(says("ETag: \"n\""));
}

TEST_F(Compressed, SendsEachPieceOfAStreamAtOnce) {
  Exchange* open = nullptr;
  serve_with(settings(), [&](Exchange& x) {
    open = &x;
    x.start(head_with({{"Content-Type", "text/event-stream"}}));
  });
  for (std::string const coding : {"gzip", "br", "zstd"}) {
    SCOPED_TRACE(coding);
    ask("Accept-Encoding: " + coding + "\r\n");
    ASSERT_TRUE(says("Content-Encoding: " + coding));
    coding::ContentDecoder decoder({*coding::coding_named(coding)}, coding::no_limits());
    std::string room(1000, '\0');
    for (int i = 0; i < 5; ++i) {
      peer->heard.clear();
      auto const item = "data: " + std::to_string(i) + "\n\n";
      open->write(base::Bytes::copy_of(item));
      peer->settle();
      auto const size = std::stoul(peer->heard, nullptr, 16);
      auto const chunk = peer->heard.substr(peer->heard.find("\r\n") + 2, size);
      auto const step = decoder.decode(chunk, room);
      ASSERT_TRUE(step);
      EXPECT_EQ(room.substr(0, step.value().made), item);
    }
    open->finish();
    peer->settle();
    EXPECT_TRUE(peer->heard.ends_with("\r\n0\r\n\r\n"));
  }
  EXPECT_EQ(reactor.counters().answers_compressed.get(), 3u);
}

TEST_F(Compressed, LeavesADeclaredLengthOutOfAStream) {
  serve_with(settings({"gzip"}), [](Exchange& x) {
    auto head = head_with({{"Content-Type", "text/plain"}});
    head.content_length = text.size();
    x.start(std::move(head));
    x.write(base::Bytes::borrowed(text));
    x.finish();
  });
  ask("Accept-Encoding: gzip\r\n");
  EXPECT_TRUE(says("Transfer-Encoding: chunked"));
  ask("");
  EXPECT_TRUE(says("Content-Length: 5000"));
}

TEST_F(Compressed, BreaksOffAStreamThatFails) {
  serve_with(settings({"gzip"}), [](Exchange& x) {
    x.start(head_with({{"Content-Type", "text/plain"}}));
    x.write(base::Bytes::borrowed(text));
    x.fail({base::Errc::io_error, {}, {}});
  });
  ask("Accept-Encoding: gzip\r\n");
  EXPECT_FALSE(peer->heard.ends_with("\r\n0\r\n\r\n"));
  EXPECT_EQ(service.closed, 1);
}

TEST_F(Compressed, CompressesAnswersInPiecesThatAreNoFiles) {
  serve_with(settings({"gzip"}), [](Exchange& x) {
    base::ByteChain chain;
    for (int i = 0; i < 3; ++i) chain.append(base::Bytes::borrowed(text));
    x.reply_in_pieces(head_with({{"Content-Type", "text/plain"}}), std::move(chain));
  });
  ask("Accept-Encoding: gzip\r\n");
  EXPECT_EQ(coding::decoded(body, Coding::gzip).text, text + text + text);
}

}  // namespace
}  // namespace millrace::server
