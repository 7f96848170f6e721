#include "millrace/proto/http/target.hpp"

#include <gtest/gtest.h>

namespace millrace::http {
namespace {

struct Read {
  bool is_good;
  std::string path, query, authority;
};

Read read(Method method, std::string_view target) {
  HeadBlock block;
  block.bytes = target;
  block.method = method;
  block.target = {0, static_cast<std::uint32_t>(target.size())};
  bool const is_good = static_cast<bool>(read_target(block));
  return {is_good, std::string(block.view(block.path)), std::string(block.view(block.query)),
          std::string(block.view(block.authority))};
}

std::string path_of(std::string_view target) {
  auto const got = read(Method::get, target);
  return got.is_good ? got.path : "refused";
}

TEST(Target, IsTakenApart) {
  auto const got = read(Method::get, "/a/b?c=d&e?f");
  EXPECT_TRUE(got.is_good);
  EXPECT_EQ(got.path, "/a/b");
  EXPECT_EQ(got.query, "c=d&e?f");
  EXPECT_EQ(got.authority, "");
}

TEST(Target, IsDecodedAndNormalised) {
  EXPECT_EQ(path_of("/"), "/");
  EXPECT_EQ(path_of("/%41%62c"), "/Abc");
  EXPECT_EQ(path_of("/a%2fb"), "/a/b");
  EXPECT_EQ(path_of("/%c3%A9"), "/\xc3\xa9");
  EXPECT_EQ(path_of("/a%20b+c"), "/a b+c");
  EXPECT_EQ(path_of("/%252e%252e"), "/%2e%2e");  // decoded once, not twice
  EXPECT_EQ(path_of("//a///b"), "//a///b");
  EXPECT_EQ(path_of("/.well-known/..x/x../..."), "/.well-known/..x/x../...");
}

TEST(Target, LosesItsDotSegmentsHoweverTheyAreWritten) {
  EXPECT_EQ(path_of("/a/b/c/./../../g"), "/a/g");  // RFC 3986 5.2.4's example
  EXPECT_EQ(path_of("/."), "/");
  EXPECT_EQ(path_of("/.."), "/");
  EXPECT_EQ(path_of("/../../x"), "/x");
  EXPECT_EQ(path_of("/a/.."), "/");
  EXPECT_EQ(path_of("/a/b/.."), "/a/");
  EXPECT_EQ(path_of("/a/b/."), "/a/b/");
  EXPECT_EQ(path_of("/a//../b"), "/a/b");
  EXPECT_EQ(path_of("/a/%2e%2E/b"), "/b");
  EXPECT_EQ(path_of("/a%2f..%2f..%2f..%2fetc/passwd"), "/etc/passwd");
  EXPECT_EQ(path_of("/a/..?x=/../y"), "/");
}

TEST(Target, StaysInPlaceWhereItNeedsNoChange) {
  HeadBlock block;
  block.bytes = "/.a/b.c/";
  block.target = {0, 8};
  ASSERT_TRUE(read_target(block));
  EXPECT_EQ(block.path.at, 0U);
  EXPECT_EQ(block.bytes.size(), 8U);
}

TEST(Target, IsRefusedWhereAByteOrAnEscapeIsWrong) {
  for (auto const* target : {"", "a", "/ ", "/\t", "/#", "/?#", "/%", "/%1", "/%g0", "/%0g", "/?%",
                             "/?%4", "/\x7f", "/\x80", "/%00", "/a%00", "*"})
    EXPECT_EQ(path_of(target), "refused") << target;
}

TEST(Target, MayBeAWholeUri) {
  auto got = read(Method::get, "http://a.example:80/b?c");
  EXPECT_EQ(got.path, "/b");
  EXPECT_EQ(got.query, "c");
  EXPECT_EQ(got.authority, "a.example:80");
  got = read(Method::get, "HTTPS://[::1]?c");
  EXPECT_EQ(got.path, "/");
  EXPECT_EQ(got.query, "c");
  EXPECT_EQ(got.authority, "[::1]");
  EXPECT_EQ(read(Method::get, "http://a").path, "/");
  EXPECT_EQ(read(Method::options, "http://a").path, "*");
  EXPECT_EQ(read(Method::options, "http://a/").path, "/");
  for (auto const* target :
       {"http:/a", "http://", "http:///a", "http://u:p@a/", "http://a b/", "ws://a/", "http://a#b"})
    EXPECT_FALSE(read(Method::get, target).is_good) << target;
}

TEST(Target, IsAHostAndPortForConnectOnly) {
  auto const got = read(Method::connect, "a.example:443");
  EXPECT_TRUE(got.is_good);
  EXPECT_EQ(got.authority, "a.example:443");
  EXPECT_EQ(got.path, "");
  EXPECT_TRUE(read(Method::connect, "[::1]:443").is_good);
  for (auto const* target : {"a", "a:", "[::1]", "/", "*", ":443", "a:b"})
    EXPECT_FALSE(read(Method::connect, target).is_good) << target;
  EXPECT_FALSE(read(Method::get, "a.example:443").is_good);
}

TEST(Target, IsAStarForOptionsOnly) {
  EXPECT_EQ(read(Method::options, "*").path, "*");
  EXPECT_FALSE(read(Method::post, "*").is_good);
}

TEST(Authority, IsANameOrAnAddressAndPerhapsAPort) {
  for (auto const* good :
       {"a", "a.b", "A-1_b~", "1.2.3.4", "a:0", "a:", "a:65535", "%41", "[::]", "[::1]:1", "[1::]",
        "[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:1.2.3.4]", "[::ffff:1.2.3.4]", "[1:2:3:4:5:6:7::]"})
    EXPECT_TRUE(is_authority(good)) << good;
  for (auto const* bad : {"",
                          ":",
                          ":1",
                          "a:65536",
                          "a:-1",
                          "a:1:2",
                          "a b",
                          "a/b",
                          "a@b",
                          "%4",
                          "[",
                          "[]",
                          "[:]",
                          "[:::]",
                          "[1]",
                          "[1:2:3:4:5:6:7]",
                          "[1:2:3:4:5:6:7:8:9]",
                          "[1::2::3]",
                          "[12345::]",
                          "[::1%25eth0]",
                          "[::1.2]x",
                          "[::1]1",
                          "[1:2:3:4:5:6:7:8::]",
                          "[1:]",
                          "\x80"})
    EXPECT_FALSE(is_authority(bad)) << bad;
}

TEST(PercentDecoding, TellsMalformedEscapes) {
  EXPECT_EQ(percent_decode("a%2Bb%00"), std::string("a+b\0", 4));
  EXPECT_EQ(percent_decode(""), "");
  EXPECT_EQ(percent_decode("%"), std::nullopt);
  EXPECT_EQ(percent_decode("%4"), std::nullopt);
  EXPECT_EQ(percent_decode("%x4"), std::nullopt);
}

}  // namespace
}  // namespace millrace::http
