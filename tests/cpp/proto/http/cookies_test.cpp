// RFC 6265 5.4.
#include "millrace/proto/http/cookies.hpp"

#include <gtest/gtest.h>

namespace millrace::http {
namespace {

std::string cookies(std::string_view field) {
  std::vector<Cookie> found;
  if (auto const status = read_cookies(field, found); !status) return status.error().message();
  std::string text;
  for (auto const& [name, value] : found)
    text.append("[").append(name).append("=").append(value).append("]");
  return text;
}

TEST(Cookies, AreReadAsServersReadThem) {
  EXPECT_EQ(cookies("SID=31d4d96e407aad42; lang=en-US"), "[SID=31d4d96e407aad42][lang=en-US]");
  EXPECT_EQ(cookies("a=1;b=2 ;\tc = 3 "), "[a=1][b=2][c=3]");
  EXPECT_EQ(cookies("a=b=c; d=\"x y\"; e=\"; f=\"\""), "[a=b=c][d=x y][e=\"][f=]");
  EXPECT_EQ(cookies("a=1; a=2"), "[a=1][a=2]");
  EXPECT_EQ(cookies("a=; b=\xc3\xbc,{}"), "[a=][b=\xc3\xbc,{}]");
}

TEST(Cookies, WithoutANameArePassedOver) {
  EXPECT_EQ(cookies(""), "");
  EXPECT_EQ(cookies(";; ;"), "");
  EXPECT_EQ(cookies("novalue; =x; a=1;"), "[a=1]");
  EXPECT_EQ(cookies("=__Host-a=evil; __Host-a=good"), "[__Host-a=good]");
}

TEST(Cookies, AreLimitedInNumber) {
  std::string field;
  for (std::size_t i = 0; i < cookies_most; ++i) field += "a=1; ";
  std::vector<Cookie> found;
  ASSERT_TRUE(read_cookies(field, found));
  EXPECT_EQ(found.size(), cookies_most);
  // Over all lines of a request.
  auto const status = read_cookies("b=1", found);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, base::Errc::too_many_fields);
  EXPECT_TRUE(read_cookies("nothing; more", found));
}

}  // namespace
}  // namespace millrace::http
