#include "millrace/server/adaptive_limit.hpp"

#include <gtest/gtest.h>

namespace millrace::server {
namespace {

using base::milliseconds;

// So many requests that each found the limit reached.
void feed(AdaptiveLimit& limit, int requests, base::Duration took) {
  for (int i = 0; i < requests; ++i) limit.sample(took, limit.limit());
}

TEST(AnAdaptiveLimit, GrowsWhileRequestsTakeAsLongAsUsual) {
  AdaptiveLimit limit({.most = 200, .initial = 20});
  feed(limit, 50, milliseconds(10));
  EXPECT_GT(limit.limit(), 50u);
  feed(limit, 1000, milliseconds(10));
  EXPECT_EQ(limit.limit(), 200u) << "and no further";
}

TEST(AnAdaptiveLimit, ShrinksWhenTheyWaitForEachOther) {
  AdaptiveLimit limit({.least = 10, .most = 1000, .initial = 500});
  feed(limit, 10, milliseconds(10));
  auto const before = limit.limit();
  feed(limit, 20, milliseconds(100));
  EXPECT_LT(limit.limit(), before / 2);
  feed(limit, 20, milliseconds(100));
  EXPECT_GE(limit.limit(), 10u) << "and no further";
}

TEST(AnAdaptiveLimit, TakesTimesThatVaryALittleForNoSign) {
  AdaptiveLimit limit({.most = 1000, .initial = 100});
  feed(limit, 10, milliseconds(10));
  auto const before = limit.limit();
  feed(limit, 10, milliseconds(14));
  EXPECT_GT(limit.limit(), before);
}

TEST(AnAdaptiveLimit, LearnsNothingWhereItDoesNotBind) {
  AdaptiveLimit limit({.most = 1000, .initial = 100});
  for (int i = 0; i < 1000; ++i) limit.sample(milliseconds(10), 49);
  EXPECT_EQ(limit.limit(), 100u);
  limit.sample(milliseconds(10), 50);
  limit.sample(milliseconds(10), 51);
  EXPECT_GT(limit.limit(), 100u);
}

TEST(AnAdaptiveLimit, RecoversOnceTheyAreQuickAgain) {
  AdaptiveLimit limit({.most = 1000, .initial = 500});
  feed(limit, 10, milliseconds(10));
  feed(limit, 30, milliseconds(500));
  auto const overloaded = limit.limit();
  feed(limit, 500, milliseconds(10));
  EXPECT_GT(limit.limit(), 2 * overloaded);
}

// A server that answers ten at once, and where more only wait, ends with little more than ten.
TEST(AnAdaptiveLimit, FindsTheNumberThatAServerAnswersAtOnce) {
  AdaptiveLimit limit({.least = 1, .most = 10'000, .initial = 200});
  constexpr std::size_t capacity = 10;
  limit.sample(milliseconds(10), 1);  // an idle server tells what is usual
  for (int i = 0; i < 300; ++i) {
    auto const at_once = limit.limit();
    limit.sample(milliseconds(10) * static_cast<std::int64_t>(std::max(at_once, capacity)) /
                     static_cast<std::int64_t>(capacity),
                 at_once);
  }
  EXPECT_GE(limit.limit(), capacity);
  EXPECT_LE(limit.limit(), 6 * capacity);
}

}  // namespace
}  // namespace millrace::server
