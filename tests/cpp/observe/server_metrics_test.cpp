#include "millrace/observe/server_metrics.hpp"

#include <gtest/gtest.h>

#include <set>

#include "observe/requests.hpp"

#include "millrace/observe/process_metrics.hpp"

namespace millrace::observe {
namespace {

const Family* find(const Metrics& metrics, std::string_view name) {
  for (auto const& family : metrics)
    if (family.name == name) return &family;
  return nullptr;
}

TEST(ServerMetrics, HasOneSamplePerLoopInUnitsThatTheNameTells) {
  trace::LoopCounters first, second;
  first.requests.add(3);
  second.requests.add(4);
  second.gil_wait_ns.add(1'500'000'000);
  first.connections_open.add(2);
  auto const metrics =
      server_metrics({.loops = {&first, &second}, .requests = {}, .queue = {}, .journey = {}});
  auto const* requests = find(metrics, "millrace_requests_total");
  ASSERT_TRUE(requests);
  EXPECT_EQ(requests->samples[1].labels, (Labels{{"loop", "1"}}));
  EXPECT_EQ(requests->samples[1].value, 4);
  EXPECT_EQ(find(metrics, "millrace_gil_wait_seconds_total")->samples[1].value, 1.5);
  auto const* open = find(metrics, "millrace_connections_open");
  ASSERT_TRUE(open);
  EXPECT_EQ(open->kind, Family::Kind::gauge);
  EXPECT_FALSE(find(metrics, "millrace_queue_depth"));
}

TEST(ServerMetrics, ShowsTheQueueWhereThereIsOne) {
  auto const metrics = server_metrics({.loops = {},
                                       .requests = {},
                                       .queue = QueueFigures{.depth = 5, .wait_ns = 2'000'000'000},
                                       .journey = {}});
  EXPECT_EQ(find(metrics, "millrace_queue_depth")->samples[0].value, 5);
  EXPECT_EQ(find(metrics, "millrace_queue_wait_seconds_total")->samples[0].value, 2);
}

TEST(ServerMetrics, ShowsWhatRequestsWaitForWhereThereAreRequests) {
  auto const metrics = server_metrics(
      {.loops = {},
       .requests =
           RequestFigures{.waiting = 1, .at_once = 2, .bodies_waiting = 3, .body_bytes_held = 4},
       .queue = {},
       .journey = {}});
  int expected = 0;
  for (auto const* name :
       {"requests_waiting", "requests_at_once", "bodies_waiting", "body_bytes_held"}) {
    auto const* family = find(metrics, "millrace_" + std::string(name));
    ASSERT_TRUE(family) << name;
    EXPECT_EQ(family->kind, Family::Kind::gauge);
    EXPECT_EQ(family->samples[0].value, ++expected) << name;
  }
  EXPECT_FALSE(find(server_metrics({.loops = {}, .requests = {}, .queue = {}, .journey = {}}),
                    "millrace_body_bytes_held"));
}

TEST(ServerMetrics, CountsEachRequestInOneBucketOfAStage) {
  StageReport report(true);
  trace::Stamps stamps;
  stamps.stamp(trace::Moment::ready, 1'000);
  stamps.stamp(trace::Moment::received, 1'000 + base::microseconds(30));
  stamps.stamp(trace::Moment::written, 1'000 + base::seconds(20));
  report.request_done(done(stamps));
  auto const metrics =
      server_metrics({.loops = {}, .requests = {}, .queue = {}, .journey = report.snapshot()});
  auto const* stages = find(metrics, "millrace_stage_duration_seconds");
  ASSERT_EQ(stages->samples.size(), 2u);  // read and total: the rest did not occur
  for (auto const& sample : stages->samples) {
    EXPECT_EQ(sample.buckets.size(), stages->bounds.size() + 1);
    EXPECT_EQ(sample.count(), 1u);
  }
  EXPECT_EQ(stages->samples[0].labels[0].second, "read");
  EXPECT_EQ(stages->samples[0].buckets[4], 1u);  // 25 us to 50 us
  EXPECT_EQ(stages->samples[1].buckets.back(), 1u);
}

TEST(ServerMetrics, NeverHasANameTwice) {
  auto const metrics =
      server_metrics({.loops = {}, .requests = {}, .queue = QueueFigures{}, .journey = {}});
  std::set<std::string> names;
  for (auto const& family : metrics) EXPECT_TRUE(names.insert(family.name).second) << family.name;
}

TEST(ProcessMetrics, ShowsThisProcess) {
  auto const metrics = process_metrics();
  for (auto const* name : {"process_cpu_seconds_total", "process_resident_memory_bytes",
                           "process_virtual_memory_bytes", "process_start_time_seconds",
                           "process_open_fds", "process_max_fds"}) {
    ASSERT_TRUE(find(metrics, name)) << name;
    EXPECT_GE(find(metrics, name)->samples[0].value, 0) << name;
  }
  EXPECT_GT(find(metrics, "process_resident_memory_bytes")->samples[0].value, 100'000);
  EXPECT_GT(find(metrics, "process_start_time_seconds")->samples[0].value, 1e9);
  EXPECT_GE(find(metrics, "process_open_fds")->samples[0].value, 3);
}

}  // namespace
}  // namespace millrace::observe
