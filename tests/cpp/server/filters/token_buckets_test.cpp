#include "millrace/server/filters/token_buckets.hpp"

#include <gtest/gtest.h>

namespace millrace::server {
namespace {

using base::seconds;

constexpr TokenBuckets::Rule of(std::int64_t burst, std::size_t most_keys = 1000) {
  return {.interval = seconds(1), .burst = burst, .most_keys = most_keys};
}

TEST(TokenBuckets, GrantABurstAndRefuseOneMore) {
  TokenBuckets buckets(of(3));
  for (std::int64_t left : {2, 1, 0}) {
    auto const outcome = buckets.take(7, seconds(100));
    EXPECT_TRUE(outcome.is_granted);
    EXPECT_EQ(outcome.left, left);
  }
  auto const refused = buckets.take(7, seconds(100));
  EXPECT_FALSE(refused.is_granted);
  EXPECT_EQ(refused.next_in, seconds(1));
  EXPECT_EQ(refused.full_in, seconds(3));
}

TEST(TokenBuckets, GiveATokenBackAtTheIntervalAndNotBefore) {
  TokenBuckets buckets(of(1));
  EXPECT_TRUE(buckets.take(7, seconds(100)).is_granted);
  auto const early = buckets.take(7, seconds(101) - 1);
  EXPECT_FALSE(early.is_granted);
  EXPECT_EQ(early.next_in, 1);
  EXPECT_TRUE(buckets.take(7, seconds(101)).is_granted);
  EXPECT_FALSE(buckets.take(7, seconds(101)).is_granted);
}

TEST(TokenBuckets, AreNeverFullerThanABurst) {
  TokenBuckets buckets(of(2));
  EXPECT_TRUE(buckets.take(7, seconds(100)).is_granted);
  EXPECT_TRUE(buckets.take(7, seconds(1000)).is_granted);
  EXPECT_TRUE(buckets.take(7, seconds(1000)).is_granted);
  EXPECT_FALSE(buckets.take(7, seconds(1000)).is_granted);
}

TEST(TokenBuckets, AreOneForEachKey) {
  TokenBuckets buckets(of(1));
  for (std::uint64_t key = 0; key < 100; ++key)
    EXPECT_TRUE(buckets.take(key, seconds(100)).is_granted) << key;
  for (std::uint64_t key = 0; key < 100; ++key)
    EXPECT_FALSE(buckets.take(key, seconds(100)).is_granted) << key;
}

TEST(TokenBuckets, KeepTheirNumberOfKeysAndForgetTheFullest) {
  TokenBuckets buckets(of(10, 1));
  auto const stride = buckets.capacity() / 8;  // keys this far apart share a set of 8
  for (int i = 0; i < 9; ++i) (void)buckets.take(0, seconds(100));
  for (std::uint64_t key = 1; key < 8; ++key)
    for (int i = 0; i < 2; ++i) (void)buckets.take(key * stride, seconds(100));
  (void)buckets.take(8 * stride, seconds(100));  // one of those with eight tokens left gives way
  EXPECT_TRUE(buckets.take(0, seconds(100)).is_granted);
  EXPECT_FALSE(buckets.take(0, seconds(100)).is_granted);  // the emptiest is remembered
}

TEST(TokenBuckets, HaveRoomForTheKeysTheyWereAskedFor) {
  EXPECT_GE(TokenBuckets(of(1, 1000)).capacity(), 1000u);
  EXPECT_LT(TokenBuckets(of(1, 1000)).capacity(), 1200u);
  EXPECT_EQ(TokenBuckets(of(1, 65'536)).capacity(), 65'536u);
}

}  // namespace
}  // namespace millrace::server
