// RFC 9110 12.5.3 and 12.4.2.
#include "millrace/proto/http/accept_encoding.hpp"

#include <gtest/gtest.h>

#include <array>

#include "proto/http/requests.hpp"

namespace millrace::http {
namespace {

std::string chosen(const std::string& lines) {
  static constexpr std::array<ByteView, 3> codings{"br", "zstd", "gzip"};
  auto const index = choose_coding(test::head_of("GET", lines), codings);
  return index ? std::string(codings[*index]) : "none";
}
std::string for_value(const std::string& value) {
  return chosen("Accept-Encoding: " + value + "\r\n");
}

TEST(AcceptEncoding, ChoosesTheHeaviestAndOurFirstAmongEquals) {
  EXPECT_EQ(for_value("gzip"), "gzip");
  EXPECT_EQ(for_value("gzip, deflate, br, zstd"), "br");
  EXPECT_EQ(for_value("gzip;q=1.0, br;q=0.8"), "gzip");
  EXPECT_EQ(for_value("br;q=0.001, gzip;q=0.002"), "gzip");
  EXPECT_EQ(for_value("gzip ; q=0.5 , ZSTD;Q=0.6"), "zstd");
  EXPECT_EQ(for_value("x-gzip"), "gzip");
  EXPECT_EQ(chosen("Accept-Encoding: gzip;q=0.1\r\nAccept-Encoding: zstd\r\n"), "zstd");
}

TEST(AcceptEncoding, LeavesItAsItIsWhereNothingElseIsWanted) {
  EXPECT_EQ(chosen(""), "none");
  EXPECT_EQ(for_value(""), "none");
  EXPECT_EQ(for_value("deflate, compress"), "none");
  EXPECT_EQ(for_value("gzip;q=0, br;q=0.000"), "none");
  EXPECT_EQ(for_value("identity"), "none");
  EXPECT_EQ(for_value("gzip;q=0.5, identity"), "none");
  EXPECT_EQ(for_value("identity;q=0.5, gzip;q=0.5"), "gzip");
  EXPECT_EQ(for_value("identity;q=0, gzip;q=0"), "none");
}

TEST(AcceptEncoding, TakesAStarForWhatIsNotNamed) {
  EXPECT_EQ(for_value("*"), "br");
  EXPECT_EQ(for_value("*;q=0"), "none");
  EXPECT_EQ(for_value("br;q=0, *"), "zstd");
  EXPECT_EQ(for_value("*;q=0, gzip"), "gzip");
  EXPECT_EQ(for_value("gzip;q=0.5, *;q=0.1"), "gzip");
}

TEST(AcceptEncoding, TakesAMalformedWeightForNoWish) {
  for (auto const* weight :
       {"", "2", "1.001", "1.0000", "-1", "0,5", ".5", "0.5.5", "a", "0x1", "1 1"})
    EXPECT_EQ(for_value("gzip;q=" + std::string(weight)), "none") << weight;
  EXPECT_EQ(for_value("gzip;level=9"), "none");
  EXPECT_EQ(for_value("gzip;q=0.5;x=1"), "none");
  for (auto const* weight : {"1", "1.", "1.000", "0.001", "0.9"})
    EXPECT_EQ(for_value("gzip;q=" + std::string(weight)), "gzip") << weight;
}

}  // namespace
}  // namespace millrace::http
