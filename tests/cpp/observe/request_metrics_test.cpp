#include "millrace/observe/request_metrics.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "observe/requests.hpp"

namespace millrace::observe {
namespace {

trace::Stamps lasting(base::Duration duration) {
  trace::Stamps stamps;
  stamps.stamp(trace::Moment::ready, 1'000);
  stamps.stamp(trace::Moment::written, 1'000 + duration);
  return stamps;
}

std::string label(const Sample& sample, std::string_view name) {
  for (auto const& [key, value] : sample.labels)
    if (key == name) return value;
  return "(none)";
}

TEST(RequestMetrics, CountsByMethodStatusAndRoute) {
  RequestMetrics metrics;
  ScriptedWords words;
  words.route_text = "/users/{id}";
  words.target_text = "/users/1";
  metrics.record(done(lasting(1'000), 0, 200, words));
  words.target_text = "/users/2";
  metrics.record(done(lasting(1'000), 0, 200, words));
  metrics.record(done(lasting(1'000), 0, 404, words));
  auto const family = metrics.snapshot();
  ASSERT_EQ(family.samples.size(), 2u);
  EXPECT_EQ(family.samples[0].count(), 2u);
  EXPECT_EQ(label(family.samples[0], "http_route"), "/users/{id}");
  EXPECT_EQ(label(family.samples[0], "http_request_method"), "GET");
  EXPECT_EQ(label(family.samples[1], "http_response_status_code"), "404");
}

TEST(RequestMetrics, HasNoRouteWhereNoneMatched) {
  RequestMetrics metrics;
  metrics.record(done(lasting(1'000), 0, 404));
  EXPECT_EQ(label(metrics.snapshot().samples[0], "http_route"), "(none)");
}

TEST(RequestMetrics, CountsWhatWasNotSentToTheEndOnlyIfItWasRefused) {
  RequestMetrics metrics;
  trace::Stamps stamps;
  stamps.stamp(trace::Moment::ready, 1'000);
  metrics.record({stamps, 3'000, 0, 200, plain_words});
  EXPECT_TRUE(metrics.snapshot().samples.empty());
  metrics.record({stamps, 3'000, 0, 400, plain_words, true});
  auto const family = metrics.snapshot();
  ASSERT_EQ(family.samples.size(), 1u);
  EXPECT_EQ(label(family.samples[0], "http_response_status_code"), "400");
  EXPECT_EQ(family.samples[0].count(), 1u);
}

TEST(RequestMetrics, CallsInventedMethodsOther) {
  RequestMetrics metrics;
  for (auto const* method : {"BREW", "get", "GETX", ""}) {
    ScriptedWords words;
    words.method_text = method;
    metrics.record(done(lasting(1'000), 0, 405, words));
  }
  auto const family = metrics.snapshot();
  ASSERT_EQ(family.samples.size(), 1u);
  EXPECT_EQ(label(family.samples[0], "http_request_method"), "_OTHER");
  EXPECT_EQ(family.samples[0].count(), 4u);
}

TEST(RequestMetrics, PutsADurationIntoTheBucketWhoseBoundItDoesNotExceed) {
  RequestMetrics metrics;
  for (auto const duration :
       {base::milliseconds(5), base::milliseconds(5) + 1, base::seconds(10), base::seconds(10) + 1})
    metrics.record(done(lasting(duration)));
  auto const family = metrics.snapshot();
  auto const& sample = family.samples[0];
  ASSERT_EQ(family.bounds.size() + 1, sample.buckets.size());
  EXPECT_EQ(family.bounds.front(), 0.005);
  EXPECT_EQ(family.bounds.back(), 10);
  EXPECT_EQ(sample.buckets.front(), 1u);
  EXPECT_EQ(sample.buckets[1], 1u);
  EXPECT_EQ(sample.buckets[13], 1u);
  EXPECT_EQ(sample.buckets.back(), 1u);
  EXPECT_NEAR(sample.value, 20.01, 1e-6);
}

TEST(RequestMetrics, CountsOneSeriesPastTheLimitInOneThatSaysSo) {
  RequestMetrics metrics(3);
  for (std::uint16_t status = 200; status < 203; ++status)
    metrics.record(done(lasting(1'000), 0, status));
  EXPECT_EQ(metrics.snapshot().samples.size(), 3u);
  for (std::uint16_t status = 203; status < 210; ++status)
    metrics.record(done(lasting(1'000), 0, status));
  metrics.record(done(lasting(1'000), 0, 200));  // an old one still counts as itself
  auto const family = metrics.snapshot();
  ASSERT_EQ(family.samples.size(), 4u);
  auto const total =
      std::accumulate(family.samples.begin(), family.samples.end(), std::uint64_t{0},
                      [](std::uint64_t sum, const Sample& sample) { return sum + sample.count(); });
  EXPECT_EQ(total, 11u);
  EXPECT_EQ(label(family.samples.back(), "otel_metric_overflow"), "true");
  EXPECT_EQ(family.samples.back().count(), 7u);
}

TEST(RequestMetrics, LeavesRequestsOutWhoseClientLeft) {
  RequestMetrics metrics;
  trace::Stamps stamps;
  stamps.stamp(trace::Moment::ready, 1);
  metrics.record(done(stamps));
  EXPECT_TRUE(metrics.snapshot().samples.empty());
}

}  // namespace
}  // namespace millrace::observe
