#include "millrace/observe/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "millrace/base/random.hpp"

namespace millrace::observe {
namespace {

TEST(Buckets, EveryDurationLiesWithinItsBucket) {
  for (base::Duration value = 0; value < 5'000; ++value) {
    auto const index = Buckets::index_of(value);
    EXPECT_LE(Buckets::lowest_in(index), value);
    EXPECT_GE(Buckets::highest_in(index), value);
  }
}

TEST(Buckets, FollowEachOtherWithoutGapOrOverlap) {
  EXPECT_EQ(Buckets::lowest_in(0), 0);
  EXPECT_EQ(Buckets::highest_in(0), 0);
  for (std::size_t i = 1; i < Buckets::count; ++i)
    ASSERT_EQ(Buckets::lowest_in(i), Buckets::highest_in(i - 1) + 1) << i;
  EXPECT_EQ(Buckets::highest_in(Buckets::count - 1), Buckets::highest);
}

TEST(Buckets, TellEachNanosecondApartBelow128) {
  for (base::Duration value = 0; value < 128; ++value) {
    EXPECT_EQ(Buckets::lowest_in(Buckets::index_of(value)), value);
    EXPECT_EQ(Buckets::highest_in(Buckets::index_of(value)), value);
  }
}

TEST(Buckets, MeetExactlyAtEveryBound) {
  for (std::size_t i = 0; i < Buckets::count; ++i) {
    auto const lowest = Buckets::lowest_in(i), highest = Buckets::highest_in(i);
    if (lowest > highest) continue;  // lies between two whole nanoseconds
    ASSERT_EQ(Buckets::index_of(lowest), i);
    ASSERT_EQ(Buckets::index_of(highest), i);
  }
}

TEST(Buckets, AreAtMostOneSixtyFourthWide) {
  for (std::size_t i = 0; i < Buckets::count; ++i) {
    auto const width = Buckets::highest_in(i) - Buckets::lowest_in(i);
    ASSERT_LE(static_cast<double>(width),
              static_cast<double>(std::max<base::Duration>(Buckets::lowest_in(i), 1)) / 64)
        << i;
  }
}

TEST(Buckets, ReachAboutAnHourAndKeepWhatIsLongerInTheLast) {
  EXPECT_GT(Buckets::highest, base::seconds(3600));
  EXPECT_EQ(Buckets::index_of(Buckets::highest), Buckets::count - 1);
  EXPECT_EQ(Buckets::index_of(Buckets::highest + 1), Buckets::count - 1);
  EXPECT_EQ(Buckets::index_of(-1), 0U);
}

TEST(Histogram, IsAllZeroWhileEmpty) {
  Histogram const empty;
  EXPECT_EQ(empty.count(), 0U);
  EXPECT_EQ(empty.min(), 0);
  EXPECT_EQ(empty.max(), 0);
  EXPECT_EQ(empty.mean(), 0);
  EXPECT_EQ(empty.percentile(99), 0);
  EXPECT_EQ(empty.count_above(0), 0U);
  EXPECT_TRUE(empty.buckets().empty());
}

TEST(Histogram, PercentilesAreTheBoundThatSoManyDoNotExceed) {
  Histogram all;
  for (base::Duration value = 1; value <= 100; ++value) all.record(value);
  EXPECT_EQ(all.percentile(0), 1);
  EXPECT_EQ(all.percentile(1), 1);
  EXPECT_EQ(all.percentile(1.1), 2);
  EXPECT_EQ(all.percentile(50), 50);
  EXPECT_EQ(all.percentile(99), 99);
  EXPECT_EQ(all.percentile(99.1), 100);
  EXPECT_EQ(all.percentile(100), 100);
  EXPECT_DOUBLE_EQ(all.mean(), 50.5);
}

// 99.9 / 100 * 1000 is a little above 999 as a double: taken at its word it would ask for all
// 1,000.
TEST(Histogram, PercentilesDoNotTurnOnTheLastBitOfAProduct) {
  Histogram all;
  all.record(10, 999);
  all.record(100);
  EXPECT_EQ(all.percentile(99.9), 10);
}

TEST(Histogram, ReadsBackAtMostOneSixtyFourthTooHigh) {
  base::Random random(7);
  Histogram all;
  std::vector<base::Duration> values;
  for (int i = 0; i < 10'000; ++i) {
    values.push_back(static_cast<base::Duration>(random.exponential(3e6)));
    all.record(values.back());
  }
  std::sort(values.begin(), values.end());
  for (double percent : {1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    auto const rank = static_cast<std::size_t>(std::ceil(percent / 100 * 10'000)) - 1;
    auto const exact = static_cast<double>(values[rank]);
    EXPECT_GE(static_cast<double>(all.percentile(percent)), exact);
    EXPECT_LE(static_cast<double>(all.percentile(percent)), exact * (1 + 1.0 / 64));
  }
}

TEST(Histogram, CountsWhatLiesAboveALimit) {
  Histogram all;
  for (base::Duration value : {10, 20, 30, 40}) all.record(value);
  EXPECT_EQ(all.count_above(0), 4U);
  EXPECT_EQ(all.count_above(20), 2U);
  EXPECT_EQ(all.count_above(40), 0U);
}

TEST(Histogram, AddsAndSubtractsBucketByBucket) {
  Histogram earlier, later, other;
  earlier.record(5);
  later = earlier;
  later.record(7, 2);
  later.subtract(earlier);
  EXPECT_EQ(later.count(), 2U);
  EXPECT_EQ(later.min(), 7);
  other.record(9);
  later.add(other);
  EXPECT_EQ(later.count(), 3U);
  EXPECT_EQ(later.max(), 9);
  later.add(Histogram{});
  EXPECT_EQ(later.count(), 3U);
}

TEST(Histogram, TakesNegativeDurationsForNone) {
  Histogram all;
  all.record(-5);
  EXPECT_EQ(all.max(), 0);
  EXPECT_EQ(all.count(), 1U);
}

// --- HdrHistogram's encoding, read back as its description has it

struct Decoded {
  std::uint32_t cookie, length, digits;
  std::vector<std::pair<base::Duration, std::uint64_t>> counts;  // by the bucket's highest value
};

Decoded decode(const std::string& bytes) {
  std::size_t at = 0;
  auto const number = [&](std::size_t size) {
    std::uint64_t value = 0;
    while (size-- > 0) value = value << 8 | static_cast<unsigned char>(bytes[at++]);
    return value;
  };
  Decoded out{};
  out.cookie = static_cast<std::uint32_t>(number(4));
  out.length = static_cast<std::uint32_t>(number(4));
  EXPECT_EQ(number(4), 0U);
  out.digits = static_cast<std::uint32_t>(number(4));
  EXPECT_EQ(number(8), 1U);
  EXPECT_EQ(number(8), static_cast<std::uint64_t>(Buckets::highest));
  EXPECT_EQ(number(8), 0x3ff0000000000000U);
  EXPECT_EQ(bytes.size() - at, out.length);
  std::size_t index = 0;
  while (at < bytes.size()) {
    std::uint64_t raw = 0;
    for (int shift = 0;; shift += 7) {
      auto const byte = static_cast<unsigned char>(bytes[at++]);
      raw |= static_cast<std::uint64_t>(shift == 56 ? byte : byte & 0x7f) << shift;
      if (shift == 56 || !(byte & 0x80)) break;
    }
    auto const value = static_cast<std::int64_t>(raw >> 1) ^ -static_cast<std::int64_t>(raw & 1);
    if (value < 0) {
      index += static_cast<std::size_t>(-value);
      continue;
    }
    auto const row = index < 256 ? 0 : index / 128 - 1;
    auto const lowest = (index - row * 128) << row;
    out.counts.emplace_back(static_cast<base::Duration>(lowest + (std::size_t{1} << row) - 1),
                            static_cast<std::uint64_t>(value));
    ++index;
  }
  return out;
}

TEST(HdrEncoding, HoldsTheSameCountsAtTheSameBounds) {
  base::Random random(3);
  Histogram all;
  for (int i = 0; i < 5'000; ++i) all.record(static_cast<base::Duration>(random.exponential(1e7)));
  for (base::Duration value : {0L, 1L, 127L, 128L, 255L, 256L, 257L}) all.record(value);
  all.record(Buckets::highest, 1'000'000'000'000);
  auto const seen = decode(all.encode_hdr());
  EXPECT_EQ(seen.cookie, 0x1c849313U);
  EXPECT_EQ(seen.digits, 2U);
  auto const buckets = all.buckets();
  ASSERT_EQ(seen.counts.size(), buckets.size());
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    EXPECT_EQ(seen.counts[i].first, buckets[i].highest);
    EXPECT_EQ(seen.counts[i].second, buckets[i].count);
  }
}

TEST(HdrEncoding, OfNothingIsAHeadWithoutCounts) {
  auto const bytes = Histogram{}.encode_hdr();
  EXPECT_EQ(bytes.size(), 40U);
  EXPECT_TRUE(decode(bytes).counts.empty());
}

// --- recording

TEST(Recorder, AgreesWithAHistogramThatSawTheSame) {
  base::Random random(5);
  Recorder recorder;
  Histogram expected;
  for (int i = 0; i < 1'000; ++i) {
    auto const value = static_cast<base::Duration>(random.exponential(1e5));
    recorder.record(value);
    expected.record(value);
  }
  auto const seen = recorder.snapshot();
  EXPECT_EQ(seen.count(), expected.count());
  EXPECT_EQ(seen.encode_hdr(), expected.encode_hdr());
}

// The thread sanitizer looks on.
TEST(Recorder, IsReadWhileItRecords) {
  constexpr std::uint64_t values = 100'000;
  Recorder recorder;
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (std::uint64_t i = 0; i < values; ++i) recorder.record(static_cast<base::Duration>(i));
    done.store(true);
  });
  std::uint64_t before = 0;
  while (!done.load()) {
    auto const now = recorder.snapshot().count();
    EXPECT_GE(now, before);
    before = now;
  }
  writer.join();
  EXPECT_EQ(recorder.snapshot().count(), values);
}

}  // namespace
}  // namespace millrace::observe
