#include "millrace/lab/work_handler.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace millrace::lab {
namespace {

std::vector<std::uint64_t> slow_ones(const WorkOptions& options, std::uint64_t requests) {
  std::vector<std::uint64_t> slow;
  for (std::uint64_t ordinal = 0; ordinal < requests; ++ordinal)
    if (is_slow(options, ordinal)) slow.push_back(ordinal);
  return slow;
}

TEST(WorkHandler, MakesExactlyOneRequestOfEachRunSlow) {
  auto const slow = slow_ones({.slow_fraction = 0.01, .seed = 7}, 5'000);
  ASSERT_EQ(slow.size(), 50U);
  for (std::size_t run = 0; run < slow.size(); ++run) EXPECT_EQ(slow[run] / 100, run);
}

TEST(WorkHandler, DrawsAnotherPlaceInEachRun) {
  auto const slow = slow_ones({.slow_fraction = 0.01, .seed = 7}, 1'000);
  ASSERT_EQ(slow.size(), 10U);
  bool all_at_one_place = true;
  for (auto ordinal : slow) all_at_one_place &= ordinal % 100 == slow[0] % 100;
  EXPECT_FALSE(all_at_one_place);
}

TEST(WorkHandler, DrawsTheSameSequenceForTheSameSeed) {
  WorkOptions const one{.slow_fraction = 0.1, .seed = 1};
  WorkOptions const other{.slow_fraction = 0.1, .seed = 2};
  EXPECT_EQ(slow_ones(one, 1'000), slow_ones(one, 1'000));
  EXPECT_NE(slow_ones(one, 1'000), slow_ones(other, 1'000));
}

TEST(WorkHandler, MakesNoneOrAllSlowAtTheEndsOfTheRange) {
  EXPECT_TRUE(slow_ones({.slow_fraction = 0}, 100).empty());
  EXPECT_EQ(slow_ones({.slow_fraction = 1}, 100).size(), 100U);
  // One in 10^300: as good as never, and nothing overflows.
  EXPECT_TRUE(slow_ones({.slow_fraction = 1e-300}, 100).empty());
}

TEST(WorkHandler, RefusesWhatIsNoPriceAndNoShare) {
  EXPECT_TRUE(check({.usual = {.cpu = 1}, .slow = {.wait = 1}, .slow_fraction = 1}));
  EXPECT_FALSE(check({.usual = {.cpu = -1}}));
  EXPECT_FALSE(check({.usual = {.wait = -1}}));
  EXPECT_FALSE(check({.slow = {.cpu = -1}}));
  EXPECT_FALSE(check({.slow_fraction = 1.01}));
  EXPECT_FALSE(check({.slow_fraction = -0.01}));
  EXPECT_FALSE(check({.slow_fraction = std::numeric_limits<double>::quiet_NaN()}));
}

}  // namespace
}  // namespace millrace::lab
