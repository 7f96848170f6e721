#include "millrace/net/clock.hpp"

#include <gtest/gtest.h>
#include <time.h>

#include <thread>

namespace millrace::net {
namespace {

base::Time kernel_clock() {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  return base::seconds(at.tv_sec) + at.tv_nsec;
}

// Between two readings of the kernel's clock, however long the thread was away meanwhile.
void expect_agreement() {
  constexpr base::Duration tolerance = base::microseconds(1);
  for (int i = 0; i < 20'000; ++i) {
    auto const before = kernel_clock();
    auto const ours = read_clock();
    auto const after = kernel_clock();
    ASSERT_GE(ours, before - tolerance);
    ASSERT_LE(ours, after + tolerance);
  }
}

TEST(Clock, AgreesWithTheKernelsBeforeAndAfterItKnowsTheCountersRate) {
  expect_agreement();
  auto const start = kernel_clock();
  while (kernel_clock() - start < base::milliseconds(120)) read_clock();
  expect_agreement();
}

TEST(Clock, AgreesBetweenThreads) {
  base::Time there = 0;
  auto const before = read_clock();
  std::thread([&] { there = read_clock(); }).join();
  auto const after = read_clock();
  EXPECT_GE(there, before - base::microseconds(1));
  EXPECT_LE(there, after + base::microseconds(1));
}

}  // namespace
}  // namespace millrace::net
