#include "millrace/proto/http1/scan.hpp"

#include <gtest/gtest.h>

#include <string>

#include "millrace/base/random.hpp"

namespace millrace::http1 {
namespace {

using Found = LineScan::Found;

// The same by the definition, one byte at a time.
LineScan::Outcome by_the_book(const std::string& text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    char const before = i > 0 ? text[i - 1] : ' ';
    if ((text[i] == '\n') != (before == '\r')) return {Found::bad_line_end, i};
    if (text[i] == '\0') return {Found::nul, i};
    if (text[i] == '\n' && i >= 3 && text.compare(i - 3, 4, "\r\n\r\n") == 0)
      return {Found::end, i + 1};
  }
  return {};
}

LineScan::Outcome in_two(const std::string& text, std::size_t cut) {
  LineScan scan;
  auto first = scan(base::ByteView(text).substr(0, cut));
  if (first.found != Found::nothing) return first;
  auto second = scan(base::ByteView(text).substr(cut));
  if (second.found != Found::nothing) second.at += cut;
  return second;
}

TEST(LineScan, AgreesWithTheDefinitionAtEveryCut) {
  base::Random random(7);
  // Rarely, often and always something to find.
  for (std::uint64_t const range : {256, 24, 5}) {
    for (int round = 0; round < 300; ++round) {
      std::string text;
      auto const size = random.next() % 200;
      while (text.size() < size) {
        auto const pick = random.next() % range;
        if (pick == 0)
          text += '\r';
        else if (pick == 1)
          text += '\n';
        else if (pick == 2)
          text += "\r\n";
        else if (pick == 3)
          text += "\r\n\r\n";
        else if (pick == 4)
          text += range == 256 ? 'x' : '\0';
        else
          text += 'x';
      }
      auto const expected = by_the_book(text);
      for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        auto const got = in_two(text, cut);
        ASSERT_EQ(got.found, expected.found) << "cut " << cut;
        ASSERT_EQ(got.at, expected.at) << "cut " << cut;
      }
    }
  }
}

TEST(LineScan, FindsTheEndAtEveryOffset) {
  for (std::size_t size = 1; size < 300; ++size) {
    auto const text = std::string(size, 'x') + "\r\n\r\n\n\r";
    auto const got = LineScan{}(text);
    EXPECT_EQ(got.found, Found::end);
    EXPECT_EQ(got.at, size + 4);
  }
}

TEST(LineScan, TakesAnEmptyLineForTheEndBehindALine) {
  auto scan = LineScan::behind_a_line();
  auto const got = scan("\r\n");
  EXPECT_EQ(got.found, Found::end);
  EXPECT_EQ(got.at, 2U);
}

TEST(LineScan, SeesNoEndInAnEmptyFirstLine) {
  EXPECT_EQ(LineScan{}("\r\nx").found, Found::nothing);
}

}  // namespace
}  // namespace millrace::http1
