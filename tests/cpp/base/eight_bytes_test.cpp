#include "millrace/base/eight_bytes.hpp"

#include <string>

#include "gtest/gtest.h"

namespace millrace::base {
namespace {

TEST(EightBytes, MarksTheFirstByteAtEveryPlaceWhateverStandsBehind) {
  for (int wanted = 0; wanted < 256; ++wanted) {
    for (std::size_t place = 0; place < 8; ++place) {
      std::string text(8, 'p');
      text[place] = static_cast<char>(wanted);
      for (std::size_t behind = place + 1; behind < 8; ++behind) text[behind] = '\x01';
      auto const byte = static_cast<unsigned char>(wanted);
      EightBytes const eight(text.data());
      EXPECT_EQ(EightBytes::first(eight.equal_to(byte)), byte == 'p' ? 0 : place) << wanted;
      bool const others_follow = place < 7;
      auto const next = others_follow ? place + 1 : 8;
      EXPECT_EQ(EightBytes::first(eight.below(0x20)), byte < 0x20 ? place : next) << wanted;
      EXPECT_EQ(EightBytes::first(eight.beyond_ascii()), byte >= 0x80 ? place : 8) << wanted;
    }
  }
}

TEST(EightBytes, MarksNothingWhereNothingIs) {
  EightBytes const eight("p!~\x7f Az0");
  EXPECT_EQ(eight.equal_to('"') | eight.below(0x20) | eight.beyond_ascii(), 0U);
}

}  // namespace
}  // namespace millrace::base
