#include "millrace/net/endpoint.hpp"

#include <gtest/gtest.h>

namespace millrace::net {
namespace {

struct Spelling {
  std::string text, host;
  std::uint16_t port;
  std::string written;
};

class GoodEndpoint : public ::testing::TestWithParam<Spelling> {};
INSTANTIATE_TEST_SUITE_P(
    Endpoint, GoodEndpoint,
    ::testing::Values(Spelling{"127.0.0.1:0", "127.0.0.1", 0, "127.0.0.1:0"},
                      Spelling{"10.1.2.3:65535", "10.1.2.3", 65535, "10.1.2.3:65535"},
                      Spelling{"255.255.255.255:1", "255.255.255.255", 1, "255.255.255.255:1"},
                      Spelling{"[::1]:8080", "::1", 8080, "[::1]:8080"},
                      Spelling{"[::]:80", "::", 80, "[::]:80"},
                      Spelling{":8080", "0.0.0.0", 8080, "0.0.0.0:8080"},
                      Spelling{"localhost:1", "127.0.0.1", 1, "127.0.0.1:1"},
                      Spelling{"unix:/run/x.sock", "/run/x.sock", 0, "unix:/run/x.sock"},
                      Spelling{"unix:x", "x", 0, "unix:x"}, Spelling{"fd://3", "", 0, "fd://3"},
                      Spelling{"unix:@x", "@x", 0, "unix:@x"},
                      Spelling{"unix:./@x", "./@x", 0, "unix:./@x"}));

TEST_P(GoodEndpoint, IsReadAndWritten) {
  auto const& want = GetParam();
  auto endpoint = Endpoint::parse(want.text);
  ASSERT_TRUE(endpoint) << endpoint.error().message();
  EXPECT_EQ(endpoint->host(), want.host);
  EXPECT_EQ(endpoint->port(), want.port);
  EXPECT_EQ(endpoint->to_string(), want.written);
  EXPECT_EQ(endpoint->is_unix(), want.text.starts_with("unix:"));
  EXPECT_EQ(Endpoint::parse(endpoint->to_string())->to_string(), want.written);
}

class BadEndpoint : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Endpoint, BadEndpoint,
                         ::testing::Values("", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                                           "127.0.0.1:-1", "127.0.0.1:80x", "::1:80", "[::1]",
                                           "[]:80", "[::1:80", "example.org:80",
                                           "unix:", "unix:/" + std::string(107, 'x'),
                                           "256.0.0.1:80", "fd://", "fd://x", "fd://-1", "fd://3x",
                                           "fd://3,", "fd://3,4", "fd://2147483648"));

TEST_P(BadEndpoint, IsRefusedWithASentence) {
  auto const endpoint = Endpoint::parse(GetParam());
  ASSERT_FALSE(endpoint);
  EXPECT_EQ(endpoint.error().code, base::Errc::invalid_option);
  EXPECT_NE(endpoint.error().detail.find("'" + GetParam() + "'"), std::string::npos)
      << endpoint.error().detail;
}

TEST(Endpoint, ReadsAListOfInheritedSockets) {
  auto list = Endpoint::parse_list("fd://3,0,17");
  ASSERT_TRUE(list) << list.error().message();
  std::vector<int> descriptors;
  for (auto const& endpoint : *list) descriptors.push_back(endpoint.inherited);
  EXPECT_EQ(descriptors, (std::vector{3, 0, 17}));
  EXPECT_FALSE(Endpoint::parse_list("fd://3,,4"));
  EXPECT_EQ(Endpoint::parse_list("127.0.0.1:80")->size(), 1u);
  EXPECT_FALSE(Endpoint::parse_list("127.0.0.1:80,127.0.0.1:81"));
}

TEST(Endpoint, LongestUnixPathIsTaken) {
  auto const path = "/" + std::string(106, 'x');
  EXPECT_EQ(Endpoint::parse("unix:" + path)->host(), path);
}

TEST(Endpoint, ResolvesNumbersAndLocalhost) {
  auto found = Endpoint::resolve("127.0.0.1", 80);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().to_string(), "127.0.0.1:80");
  found = Endpoint::resolve("localhost", 81);
  ASSERT_TRUE(found);
  ASSERT_FALSE(found->empty());
  EXPECT_EQ(found->front().port(), 81);
}

TEST(Endpoint, NameThatCannotExistIsNotFound) {
  auto const found = Endpoint::resolve("no.such.name.invalid", 80);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, base::Errc::name_not_found);
}

}  // namespace
}  // namespace millrace::net
