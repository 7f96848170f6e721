#include "millrace/observe/stage_report.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "observe/requests.hpp"

#include "millrace/base/random.hpp"

namespace millrace::observe {
namespace {

using trace::Moment;
using trace::Stage;

constexpr std::size_t index_of(Stage stage) { return static_cast<std::size_t>(stage); }

const Histogram& histogram(const JourneySnapshot& journey, Stage stage) {
  return journey.stages[index_of(stage)].histogram;
}

trace::Stamps plain_request(base::Time start) {
  trace::Stamps stamps;
  stamps.stamp(Moment::ready, start);
  stamps.stamp(Moment::received, start + 10);
  stamps.stamp(Moment::head_parsed, start + 30);
  stamps.stamp(Moment::handler_started, start + 40);
  stamps.stamp(Moment::handler_done, start + 90);
  stamps.stamp(Moment::encoded, start + 95);
  stamps.stamp(Moment::written, start + 120);
  return stamps;
}

TEST(StageReport, RecordsEachStageBetweenItsTwoMoments) {
  StageReport report(true);
  report.request_done(done(plain_request(1'000)));
  auto const journey = report.snapshot();
  EXPECT_EQ(journey.requests, 1U);
  EXPECT_EQ(histogram(journey, Stage::read).max(), 10);
  EXPECT_EQ(histogram(journey, Stage::parse).max(), 20);
  EXPECT_EQ(histogram(journey, Stage::process).max(), 50);
  EXPECT_EQ(histogram(journey, Stage::encode).max(), 5);
  EXPECT_EQ(histogram(journey, Stage::write).max(), 25);
  EXPECT_EQ(histogram(journey, Stage::total).max(), 120);
}

TEST(StageReport, LeavesStagesThatDidNotOccurEmpty) {
  StageReport report(true);
  report.request_done(done(plain_request(1'000)));
  auto const journey = report.snapshot();
  for (auto const stage :
       {Stage::accept, Stage::decrypt, Stage::decode, Stage::queue, Stage::encrypt})
    EXPECT_EQ(histogram(journey, stage).count(), 0U) << journey.stages[index_of(stage)].name;
}

// The rows are unrolled by the compiler; Stamps::duration is the plain way to say the same.
TEST(StageReport, AgreesWithStampsForAnyMixOfMoments) {
  base::Random random(11);
  for (int round = 0; round < 2'000; ++round) {
    trace::Stamps stamps;
    for (std::size_t i = 0; i < trace::moment_count; ++i)
      if (random.next() % 2)
        stamps.stamp(static_cast<Moment>(i), static_cast<base::Time>(1 + random.next() % 100));
    // Without this moment the client left, and nothing is recorded.
    if (stamps[Moment::written] == 0) stamps.stamp(Moment::written, 101);
    StageReport report(true);
    report.request_done(done(stamps));
    auto const journey = report.snapshot();
    for (auto const& row : trace::stage_rows) {
      auto const expected = stamps.duration(row);
      auto const& seen = histogram(journey, row.stage);
      ASSERT_EQ(seen.count(), expected >= 0 ? 1U : 0U) << row.name;
      if (expected >= 0) {
        ASSERT_EQ(seen.max(), expected) << row.name;
      }
    }
  }
}

TEST(StageReport, HasOneNamedRowPerStageInTheirOrder) {
  auto const journey = StageReport(true).snapshot();
  ASSERT_EQ(journey.stages.size(), trace::stage_count);
  EXPECT_EQ(journey.stages.front().name, "accept");
  EXPECT_EQ(journey.stages.back().name, "total");
  for (auto const& row : trace::stage_rows) {
    EXPECT_EQ(journey.stages[index_of(row.stage)].name, row.name);
    EXPECT_EQ(journey.stages[index_of(row.stage)].meaning, row.meaning);
  }
}

TEST(StageReport, CountsAcceptsPerConnection) {
  StageReport report(true);
  report.connection_accepted({.ready = 100, .at_home = 160});
  report.connection_accepted({.ready = 100, .at_home = 90});  // another loop's clock was ahead
  auto const journey = report.snapshot();
  EXPECT_EQ(histogram(journey, Stage::accept).count(), 2U);
  EXPECT_EQ(histogram(journey, Stage::accept).max(), 60);
  EXPECT_EQ(histogram(journey, Stage::accept).min(), 0);
  EXPECT_EQ(journey.requests, 0U);
}

TEST(StageReport, RecordsNothingWhereTheJourneyIsOff) {
  StageReport report(false);
  report.request_done(done(plain_request(1'000)));
  report.connection_accepted({.ready = 1, .at_home = 2});
  auto const journey = report.snapshot();
  EXPECT_FALSE(journey.enabled);
  EXPECT_EQ(journey.requests, 0U);
  for (auto const& stage : journey.stages) EXPECT_EQ(stage.histogram.count(), 0U);
}

TEST(StageReport, ForgetsWhatWasThereBeforeAReset) {
  StageReport report(true);
  for (int i = 0; i < 3; ++i) report.request_done(done(plain_request(1'000)));
  report.reset();
  EXPECT_EQ(report.snapshot().requests, 0U);
  report.request_done(done(plain_request(1'000)));
  auto const journey = report.snapshot();
  EXPECT_EQ(journey.requests, 1U);
  EXPECT_EQ(histogram(journey, Stage::parse).count(), 1U);
}

TEST(Merge, AddsTheReportsOfAllLoops) {
  StageReport first(true), second(true);
  first.request_done(done(plain_request(1'000)));
  second.request_done(done(plain_request(2'000)));
  second.request_done(done(plain_request(3'000)));
  std::array<const StageReport*, 2> const both{&first, &second};
  auto const journey = merge(both);
  EXPECT_TRUE(journey.enabled);
  EXPECT_EQ(journey.requests, 3U);
  EXPECT_EQ(histogram(journey, Stage::parse).count(), 3U);
}

TEST(Merge, OfNoLoopsStillNamesTheStages) {
  auto const journey = merge({});
  EXPECT_FALSE(journey.enabled);
  EXPECT_EQ(journey.stages.size(), trace::stage_count);
}

// The thread sanitizer looks on.
TEST(StageReport, IsReadAndResetWhileItsLoopRecords) {
  constexpr std::uint64_t requests = 20'000;
  StageReport report(true);
  std::thread loop([&] {
    auto const stamps = plain_request(1'000);
    for (std::uint64_t i = 0; i < requests; ++i) report.request_done(done(stamps));
  });
  for (int i = 0; i < 20; ++i) {
    EXPECT_LE(report.snapshot().requests, requests);
    report.reset();
  }
  loop.join();
  report.reset();
  EXPECT_EQ(report.snapshot().requests, 0U);
}

}  // namespace
}  // namespace millrace::observe
