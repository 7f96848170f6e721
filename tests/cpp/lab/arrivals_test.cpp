#include "millrace/lab/arrivals.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace millrace::lab {
namespace {

constexpr base::Time start = 1'000'000'007;

std::vector<double> gaps_of(Arrivals arrivals, int count) {
  arrivals.start(start);
  std::vector<double> gaps;
  base::Time before = start;
  for (int i = 0; i < count; ++i) {
    auto const due = arrivals.take();
    gaps.push_back(static_cast<double>(due - before));
    before = due;
  }
  return gaps;
}

TEST(ConstantArrivals, DoNotDriftHoweverManyThereAre) {
  Arrivals arrivals(Spacing::constant, 3'000, 1);  // a gap that is no whole number of nanoseconds
  arrivals.start(start);
  for (int i = 0; i < 3'000'000; ++i) arrivals.take();
  EXPECT_EQ(arrivals.next(), start + base::seconds(1'000));
}

TEST(ConstantArrivals, OfSeveralThreadsInterleaveToOneSchedule) {
  std::vector<base::Time> all;
  for (int thread = 0; thread < 4; ++thread) {
    Arrivals arrivals(Spacing::constant, 250, 1, thread / 4.0);
    arrivals.start(start);
    for (int i = 0; i < 100; ++i) all.push_back(arrivals.take());
  }
  std::sort(all.begin(), all.end());
  for (std::size_t i = 0; i < all.size(); ++i)
    ASSERT_EQ(all[i], start + base::milliseconds(static_cast<std::int64_t>(i))) << i;
}

TEST(PoissonArrivals, AreTheSameForTheSameSeedAndOthersForAnother) {
  auto const first = gaps_of({Spacing::poisson, 1'000, 5}, 100);
  EXPECT_EQ(first, gaps_of({Spacing::poisson, 1'000, 5}, 100));
  EXPECT_NE(first, gaps_of({Spacing::poisson, 1'000, 6}, 100));
}

// Mean 1/rate, and a deviation as large as the mean: what tells an exponential gap from a constant
// one.
TEST(PoissonArrivals, HaveExponentialMeanAndDeviation) {
  constexpr int count = 100'000;
  auto const gaps = gaps_of({Spacing::poisson, 1'000, 42}, count);
  double sum = 0, squares = 0;
  for (double gap : gaps) sum += gap;
  double const mean = sum / count;
  for (double gap : gaps) squares += (gap - mean) * (gap - mean);
  EXPECT_NEAR(mean, 1e6, 1e6 * 3 / std::sqrt(count));
  EXPECT_NEAR(std::sqrt(squares / count), 1e6, 1e6 * 0.02);
}

// Kolmogorov-Smirnov: the largest distance to 1 - exp(-gap/mean). 1.63/sqrt(n) is the bound at 1 %.
TEST(PoissonArrivals, FollowTheExponentialDistribution) {
  constexpr int count = 20'000;
  auto gaps = gaps_of({Spacing::poisson, 1'000, 42}, count);
  std::sort(gaps.begin(), gaps.end());
  double distance = 0;
  for (int i = 0; i < count; ++i) {
    auto const expected = 1 - std::exp(-gaps[static_cast<std::size_t>(i)] / 1e6);
    distance = std::max({distance, std::abs(expected - i / double{count}),
                         std::abs(expected - (i + 1) / double{count})});
  }
  EXPECT_LT(distance, 1.63 / std::sqrt(count));
}

TEST(Arrivals, WithoutARateNeverCome) {
  Arrivals arrivals(Spacing::constant, 0, 1);
  arrivals.start(start);
  EXPECT_EQ(arrivals.next(), std::numeric_limits<base::Time>::max());
}

}  // namespace
}  // namespace millrace::lab
