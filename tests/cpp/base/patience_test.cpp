#include "millrace/base/patience.hpp"

#include <gtest/gtest.h>

namespace millrace::base {
namespace {

constexpr Duration most = seconds(10);

TEST(Patience, IsSpentByWaiting) {
  EXPECT_EQ(patience_left(most, seconds(4), 0, 100, most), seconds(6));
  EXPECT_EQ(patience_left(most, seconds(4), 0, 0, most), seconds(6));
  EXPECT_EQ(patience_left(seconds(1), seconds(4), 0, 100, most), -seconds(3));
}

TEST(Patience, LastsForWhoeverKeepsToTheRate) {
  auto left = most;
  for (int i = 0; i < 10'000; ++i) left = patience_left(left, seconds(3), 300, 100, most);
  EXPECT_EQ(left, most) << "300 bytes in 3 s are 100 a second";
}

TEST(Patience, EndsForWhoeverStaysOneByteBelowTheRate) {
  auto left = most;
  int rounds = 0;
  while (left > 0 && rounds < 100'000) {
    left = patience_left(left, seconds(3), 299, 100, most);
    ++rounds;
  }
  // 10 ms are lost in each round, and the last one needs its 3 s.
  EXPECT_EQ(rounds, 1000);
}

TEST(Patience, IsNeverMoreThanItWasAtFirst) {
  EXPECT_EQ(patience_left(seconds(1), 0, 100'000'000, 100, most), most);
  EXPECT_EQ(patience_left(seconds(1), 0, ~std::size_t{0}, 1, most), most);
  EXPECT_EQ(patience_left(most, seconds(3), 400, 100, most), most);
}

TEST(Patience, WithoutARateIsRestoredByAnyByte) {
  EXPECT_EQ(patience_left(seconds(1), seconds(1), 1, 0, most), most);
}

}  // namespace
}  // namespace millrace::base
