#include "millrace/base/error.hpp"

#include <gtest/gtest.h>

#include <set>

#include "millrace/base/random.hpp"

namespace millrace::base {
namespace {

TEST(Errors, HaveARowEachWithAWordAndASentenceOfTheirOwn) {
  std::set<std::string_view> names, sentences;
  for (auto const& row : error_table()) {
    EXPECT_EQ(&describe(row.code), &row);
    EXPECT_FALSE(row.name.empty());
    names.insert(row.name);
    sentences.insert(row.sentence);
  }
  EXPECT_EQ(error_table().size(), static_cast<std::size_t>(Errc::count_));
  EXPECT_EQ(names.size(), error_table().size());
  EXPECT_EQ(sentences.size(), error_table().size());
}

TEST(Errors, SayWhatWasSeenAndWhichClause) {
  Error const error{Errc::bad_host, "RFC 9112 3.2", "two of them"};
  EXPECT_EQ(error.message(),
            "the Host field is missing, doubled or malformed (two of them) [RFC 9112 3.2]");
  EXPECT_EQ(error.fault(), Fault::peer);
  EXPECT_EQ(error.retry(), Retry::never);
}

TEST(Status, IsGoodUntilToldOtherwise) {
  Status good;
  EXPECT_TRUE(good);
  auto bad = failure(Errc::cancelled, {}, "why");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().detail, "why");
  EXPECT_EQ(bad.take_error().code, Errc::cancelled);
}

TEST(Result, HoldsAValueOrAnError) {
  Result<int> good(3);
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, 3);
  Result<int> bad(Error{Errc::io_error, {}, {}});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Errc::io_error);
  EXPECT_FALSE(bad.take_status());
}

TEST(Random, GivesTheSameNumbersForTheSameSeed) {
  Random one(42), two(42), other(43);
  auto const first = one.next();
  EXPECT_EQ(first, two.next());
  EXPECT_NE(first, other.next());
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    auto const unit = one.unit();
    ASSERT_GT(unit, 0.0);
    ASSERT_LE(unit, 1.0);
    sum += one.exponential(2.0);
  }
  EXPECT_NEAR(sum / 10'000, 2.0, 0.1);
}

}  // namespace
}  // namespace millrace::base
