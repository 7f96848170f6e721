#include "one_filter.hpp"

namespace millrace::server {
namespace {

class ETag : public OneFilter {
 protected:
  void tag(std::int64_t most, bool weak = false) {
    filter("etag", {{"bytes", most}, {"weak", weak}});
  }
  std::string tag_of(std::string_view answer) { return field_of(answer, "ETag"); }
};

TEST_F(ETag, IsOfTheBodyAndGives304ToWhoHasIt) {
  static const http::Fields preset{{"Content-Type", "text/plain"}, {"Cache-Control", "no-cache"}};
  handler = [](conn::Exchange& x) {
    http::ResponseHead head;
    head.preset = &preset;
    head.fields = {{"Vary", "Cookie"}, {"Content-Language", "en"}, {"Last-Modified", "then"}};
    x.reply(std::move(head), base::Bytes::copy_of(x.head.path()));
  };
  tag(100);
  auto const answer = get();
  auto const tag = tag_of(answer);
  EXPECT_TRUE(tag.ends_with("-1\"")) << tag;
  EXPECT_EQ(tag_of(ask("HEAD /", "Host: a\r\n")), tag);
  EXPECT_NE(tag_of(ask("GET /b", "Host: a\r\n")), tag);

  auto const again = get("If-None-Match: \"x\", W/" + tag + "\r\n");
  EXPECT_EQ(status_of(again), 304);
  EXPECT_EQ(tag_of(again), tag);
  EXPECT_EQ(field_of(again, "Cache-Control"), "no-cache");
  EXPECT_EQ(field_of(again, "Vary"), "Cookie");
  for (auto const* name : {"Content-Type", "Content-Language", "Last-Modified"})
    EXPECT_EQ(field_of(again, name), "-") << name;
  EXPECT_TRUE(again.ends_with("\r\n\r\n"));
  EXPECT_EQ(status_of(get("If-None-Match: \"x\"\r\n")), 200);
  EXPECT_EQ(status_of(get("If-None-Match: *\r\n")), 304);
}

TEST_F(ETag, OfTheHandlersOwnStaysAndIsCompared) {
  handler = [](conn::Exchange& x) {
    http::ResponseHead head;
    head.fields.add("etag", "\"mine\"");
    x.reply(std::move(head), base::Bytes::borrowed("body"));
  };
  tag(1);  // the body is larger, but nobody reads it
  EXPECT_EQ(field_of(get(), "etag"), "\"mine\"");
  EXPECT_EQ(status_of(get("If-None-Match: \"mine\"\r\n")), 304);
}

TEST_F(ETag, IsNotMadeForOtherMethodsStatusesAndLargerBodies) {
  handler = [](conn::Exchange& x) {
    http::ResponseHead head;
    head.status = x.head.path() == "/missing" ? 404 : 200;
    x.reply(std::move(head),
            base::Bytes::from(std::string(x.head.path() == "/large" ? 11 : 10, 'x')));
  };
  tag(10);
  EXPECT_NE(tag_of(get()), "-");
  EXPECT_EQ(tag_of(ask("GET /large", "Host: a\r\n")), "-");
  EXPECT_EQ(tag_of(ask("GET /missing", "Host: a\r\n")), "-");
  EXPECT_EQ(tag_of(ask("POST /", "Host: a\r\nContent-Length: 0\r\n")), "-");
}

TEST_F(ETag, LetsAnswersInPiecesPass) {
  handler = [](conn::Exchange& x) {
    x.start({});
    EXPECT_TRUE(x.write(base::Bytes::borrowed("one")));
    x.finish();
  };
  tag(10);
  auto const answer = get();
  EXPECT_EQ(tag_of(answer), "-");
  EXPECT_TRUE(answer.ends_with("3\r\none\r\n0\r\n\r\n")) << answer;
}

TEST_F(ETag, MayBeWeak) {
  tag(10, true);
  auto const tag = tag_of(get());
  EXPECT_TRUE(tag.starts_with("W/\"")) << tag;
  EXPECT_EQ(status_of(get("If-None-Match: " + tag + "\r\n")), 304);
}

}  // namespace
}  // namespace millrace::server
