#include "millrace/observe/metrics.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace millrace::observe {
namespace {

using enum Family::Kind;

Family counter_of(std::string name, double value, Labels labels = {}) {
  return Family{std::move(name), "A count.", counter}.add(std::move(labels), value);
}

TEST(Prometheus, WritesNameHelpTypeAndValue) {
  EXPECT_EQ(render_prometheus({counter_of("requests_total", 3)}),
            "# HELP requests_total A count.\n# TYPE requests_total counter\nrequests_total 3\n");
}

TEST(Prometheus, EscapesWhatWouldEndALabelOrALine) {
  Family family{"x", "a\\b\n\"c\"", gauge};
  family.add({{"route", "a\\b\n\"c\""}}, 1);
  EXPECT_EQ(render_prometheus({family}),
            "# HELP x a\\\\b\\n\"c\"\n# TYPE x gauge\nx{route=\"a\\\\b\\n\\\"c\\\"\"} 1\n");
}

TEST(Prometheus, WritesNumbersInFull) {
  auto const value_of = [](double value) {
    auto const text = render_prometheus({counter_of("x", value)});
    return text.substr(text.rfind(' ') + 1);
  };
  EXPECT_EQ(value_of(8'999'999'999'999'999), "8999999999999999\n");
  EXPECT_EQ(value_of(0.1), "0.1\n");
  EXPECT_EQ(value_of(-2), "-2\n");
  EXPECT_EQ(value_of(INFINITY), "+Inf\n");
  EXPECT_EQ(value_of(NAN), "NaN\n");
}

TEST(Prometheus, WritesAHistogramsBucketsCumulatively) {
  Family family{"t_seconds", "Times.", histogram, Family::Combine::sum, {0.005, 1}, {}};
  family.samples.push_back({{{"a", "b"}}, 2.5, {3, 0, 2}});
  EXPECT_EQ(render_prometheus({family}),
            "# HELP t_seconds Times.\n# TYPE t_seconds histogram\n"
            "t_seconds_bucket{a=\"b\",le=\"0.005\"} 3\nt_seconds_bucket{a=\"b\",le=\"1\"} 3\n"
            "t_seconds_bucket{a=\"b\",le=\"+Inf\"} 5\nt_seconds_sum{a=\"b\"} 2.5\n"
            "t_seconds_count{a=\"b\"} 5\n");
}

TEST(Prometheus, LeavesOutWhatHasNoSamples) {
  EXPECT_EQ(render_prometheus({Family{"x", "Nothing.", gauge}}), "");
}

TEST(Merge, AddsSamplesOfTheSameLabelsAndKeepsTheOthers) {
  auto const merged = merge({{counter_of("x", 1, {{"l", "a"}})},
                             {counter_of("x", 2, {{"l", "a"}}), counter_of("y", 5)},
                             {counter_of("x", 4, {{"l", "b"}})}});
  ASSERT_EQ(merged.size(), 2u);
  ASSERT_EQ(merged[0].samples.size(), 2u);
  EXPECT_EQ(merged[0].samples[0].value, 3);
  EXPECT_EQ(merged[0].samples[1].value, 4);
  EXPECT_EQ(merged[1].samples[0].value, 5);
}

TEST(Merge, AddsHistogramsBucketByBucket) {
  Family a{"t", "", histogram, Family::Combine::sum, {1}, {}};
  a.samples.push_back({{}, 1.5, {1, 2}});
  auto const merged = merge({{a}, {a}});
  EXPECT_EQ(merged[0].samples[0].buckets, (std::vector<std::uint64_t>{2, 4}));
  EXPECT_EQ(merged[0].samples[0].value, 3);
}

TEST(Merge, LeavesAHistogramWithOtherBoundsOut) {
  Family a{"t", "", histogram, Family::Combine::sum, {1}, {}};
  a.samples.push_back({{}, 1, {1, 0}});
  Family b{"t", "", histogram, Family::Combine::sum, {2}, {}};
  b.samples.push_back({{}, 1, {1, 0}});
  EXPECT_EQ(merge({{a}, {b}})[0].samples[0].count(), 1u);
}

TEST(Merge, TakesTheLowestOrHighestWhereASumWouldMeanNothing) {
  auto const of = [](Family::Combine how, double value) {
    return Metrics{Family{"x", "", gauge, how}.add({}, value)};
  };
  using enum Family::Combine;
  EXPECT_EQ(merge({of(lowest, 3), of(lowest, 2), of(lowest, 4)})[0].samples[0].value, 2);
  EXPECT_EQ(merge({of(highest, 3), of(highest, 4), of(highest, 2)})[0].samples[0].value, 4);
}

}  // namespace
}  // namespace millrace::observe
