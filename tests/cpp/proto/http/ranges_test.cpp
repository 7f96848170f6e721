// RFC 9110 14.
#include "millrace/proto/http/ranges.hpp"

#include <gtest/gtest.h>

namespace millrace::http {
namespace {

// "whole", "none" or "first+length first+length ..."
std::string selected(std::string_view field, std::uint64_t size = 10'000) {
  auto const selection = select_ranges(field, size);
  if (selection.kind == Selection::Kind::whole) return "whole";
  if (selection.kind == Selection::Kind::unsatisfiable) return "none";
  std::string text;
  for (auto const& range : selection.ranges)
    text += (text.empty() ? "" : " ") + std::to_string(range.first) + '+' +
            std::to_string(range.length);
  return text;
}

// The examples of 14.1.2, for a representation of 10,000 bytes.
TEST(Ranges, OfTheRfcsExamples) {
  EXPECT_EQ(selected("bytes=0-499"), "0+500");
  EXPECT_EQ(selected("bytes=500-999"), "500+500");
  EXPECT_EQ(selected("bytes=-500"), "9500+500");
  EXPECT_EQ(selected("bytes=9500-"), "9500+500");
  EXPECT_EQ(selected("bytes=0-0,-1"), "0+1 9999+1");
  EXPECT_EQ(selected("bytes= 0-999, 4500-5499, -1000"), "0+1000 4500+1000 9000+1000");
  EXPECT_EQ(selected("bytes=500-600,601-999"), "500+500");
  EXPECT_EQ(selected("bytes=500-700,601-999"), "500+500");
}

TEST(Ranges, EndWithTheRepresentation) {
  EXPECT_EQ(selected("bytes=0-"), "0+10000");
  EXPECT_EQ(selected("bytes=9999-"), "9999+1");
  EXPECT_EQ(selected("bytes=9999-20000"), "9999+1");
  EXPECT_EQ(selected("bytes=-10000"), "0+10000");
  EXPECT_EQ(selected("bytes=-10001"), "0+10000");
  EXPECT_EQ(selected("bytes=-99999999999999999999999999"), "0+10000");
  EXPECT_EQ(selected("bytes=1-99999999999999999999999999"), "1+9999");
}

TEST(Ranges, ThatNothingLiesInAreUnsatisfiable) {
  EXPECT_EQ(selected("bytes=10000-"), "none");
  EXPECT_EQ(selected("bytes=10000-10001"), "none");
  EXPECT_EQ(selected("bytes=99999999999999999999999999-"), "none");
  EXPECT_EQ(selected("bytes=-0"), "none");
  EXPECT_EQ(selected("bytes=20000-, -0"), "none");
  EXPECT_EQ(selected("bytes=20000-, 5-5"), "5+1");  // one that can be had is enough
}

TEST(Ranges, OfNothing) {
  EXPECT_EQ(selected("bytes=0-", 0), "none");
  EXPECT_EQ(selected("bytes=0-0", 0), "none");
  EXPECT_EQ(selected("bytes=-0", 0), "none");
  EXPECT_EQ(selected("bytes=-5", 0), "whole");
}

// 14.2: what is malformed, or of another unit, is ignored.
TEST(Ranges, ThatAreMalformedAreIgnored) {
  for (auto const* field :
       {"",           "bytes",      "bytes=",      "bytes=,",       "bytes= , ,",  "bytes=-",
        "bytes=1",    "bytes=a-b",  "bytes=1-0",   "bytes=0-1,5-4", "bytes=0-1,x", "bytes=0--1",
        "bytes=--1",  "bytes=+1-2", "bytes=1-2-3", "bytes=0x1-2",   "bytes =0-1",  "bytes:0-1",
        " bytes=0-1", "bytes=0- 1", "bytes=0 -1",  "items=0-1",     "byte=0-1",    "bytes=1 2-3"})
    EXPECT_EQ(selected(field), "whole") << field;
}

TEST(Ranges, AreAListInAnyLetterCaseOfTheirUnit) {
  EXPECT_EQ(selected("BYTES=0-1"), "0+2");
  EXPECT_EQ(selected("bytes=,0-1\t,, 1000-1001,"), "0+2 1000+2");
}

TEST(Ranges, ThatTouchAreJoinedInThePlaceOfTheFirst) {
  EXPECT_EQ(selected("bytes=5000-5099,0-99,5100-5199"), "5000+200 0+100");
  EXPECT_EQ(selected("bytes=0-99,5000-5099,0-99"), "0+100 5000+100");
  EXPECT_EQ(selected("bytes=0-99,1000-1099,2000-2099,50-2050"), "0+2100");
  EXPECT_EQ(selected("bytes=0-,0-,0-,0-"), "0+10000");
  EXPECT_EQ(selected("bytes=9000-9099,100-199,-100,0-120"), "9000+100 0+200 9900+100");
}

TEST(Ranges, AreJoinedOverAGapSmallerThanAPartsHead) {
  EXPECT_EQ(selected("bytes=0-9,89-99"), "0+100");       // 79 bytes between them
  EXPECT_EQ(selected("bytes=0-9,90-99"), "0+10 90+10");  // 80
  EXPECT_EQ(selected("bytes=90-99,0-9"), "90+10 0+10");
}

TEST(Ranges, AreLimitedInNumber) {
  std::string field = "bytes=0-0";
  for (std::size_t i = 1; i < ranges_most; ++i)
    field += ',' + std::to_string(i * 200) + "-" + std::to_string(i * 200);
  EXPECT_EQ(select_ranges(field, 10'000).ranges.size(), ranges_most);
  EXPECT_EQ(selected(field + ",9999-"), "whole");
  EXPECT_EQ(selected(field + ","), "whole");
}

TEST(Ranges, AreNamedInContentRange) {
  EXPECT_EQ(content_range({0, 1}, 1), "bytes 0-0/1");
  EXPECT_EQ(content_range({500, 500}, 10'000), "bytes 500-999/10000");
  EXPECT_EQ(content_range_of_none(47'022), "bytes */47022");
}

TEST(Ranges, ArePartsOfAMultipartBody) {
  EXPECT_EQ(part_head("B", "text/plain", {0, 2}, 9, true),
            "--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/9\r\n\r\n");
  EXPECT_EQ(part_head("B", "", {3, 2}, 9, false), "\r\n--B\r\nContent-Range: bytes 3-4/9\r\n\r\n");
  EXPECT_EQ(parts_end("B"), "\r\n--B--\r\n");
}

}  // namespace
}  // namespace millrace::http
