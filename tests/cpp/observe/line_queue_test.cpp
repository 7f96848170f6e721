#include "millrace/observe/line_queue.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace millrace::observe {
namespace {

LineQueueOptions small(std::size_t bytes) { return {.ring_bytes = bytes, .interval = 0}; }

std::string line_of(std::size_t size) { return std::string(size - 1, 'x') + "\n"; }

TEST(LineQueue, GivesLinesInTheOrderOfTheirLoop) {
  LineQueue queue(small(64));
  auto& first = queue.add_ring();
  auto& second = queue.add_ring();
  first.put("a\n");
  second.put("b\n");
  first.put("c\n");
  EXPECT_EQ(queue.take(), "a\nc\nb\n");
  EXPECT_EQ(queue.lines(), 3u);
}

TEST(LineQueue, TakesWhatFitsAndDropsOneByteMore) {
  LineQueue queue(small(64));
  auto& ring = queue.add_ring();
  ring.put(line_of(32));
  ring.put(line_of(33));  // 65 bytes
  EXPECT_EQ(queue.dropped(), 1u);
  ring.put(line_of(32));  // 64
  EXPECT_EQ(queue.dropped(), 1u);
  ring.put("\n");
  EXPECT_EQ(queue.dropped(), 2u);
  EXPECT_EQ(queue.take(), line_of(32) + line_of(32));
  ring.put(line_of(64));
  EXPECT_EQ(queue.take(), line_of(64));
  EXPECT_EQ(queue.lines(), 3u);
}

TEST(LineQueue, KeepsLinesWholeAroundTheEndOfTheRing) {
  LineQueue queue(small(16));
  auto& ring = queue.add_ring();
  for (int i = 0; i < 100; ++i) {
    auto const line = std::to_string(1'000'000 + i * 9'973) + "\n";
    ring.put(line);
    ASSERT_EQ(queue.take(), line);
  }
}

TEST(LineQueue, EndsWhenItIsClosedAndEmpty) {
  LineQueue queue(small(64));
  auto& ring = queue.add_ring();
  ring.put("last\n");
  queue.close();
  EXPECT_EQ(queue.take(), "last\n");
  EXPECT_EQ(queue.take(), "");
  EXPECT_TRUE(queue.is_closed());
}

// A line that is dropped rings the bell too.
TEST(LineQueue, WaitsOnWhenTheBellWasForNothing) {
  LineQueue queue(small(16));
  auto& ring = queue.add_ring();
  for (int round = 0; round < 50; ++round) {
    ring.put(line_of(17));
    std::thread loop([&] { ring.put("a\n"); });
    EXPECT_EQ(queue.take(), "a\n");
    loop.join();
  }
  EXPECT_EQ(queue.dropped(), 50u);
  ring.put(line_of(17));
  queue.close();
  EXPECT_EQ(queue.take(), "");
}

TEST(LineQueue, LosesNoLineBetweenTwoThreads) {
  LineQueue queue(small(1024));
  auto& ring = queue.add_ring();
  constexpr std::uint64_t count = 20'000;
  std::thread loop([&] {
    for (std::uint64_t i = 0; i < count; ++i) ring.put(std::to_string(i) + "\n");
    queue.close();
  });
  std::uint64_t seen = 0, last = 0;
  bool in_order = true;
  for (auto batch = queue.take(); !batch.empty(); batch = queue.take()) {
    for (std::size_t at = 0; at < batch.size();) {
      auto const end = batch.find('\n', at);
      ASSERT_NE(end, batch.npos);
      auto const number = std::stoull(batch.substr(at, end - at));
      in_order &= seen == 0 || number > last;
      last = number;
      ++seen;
      at = end + 1;
    }
  }
  EXPECT_TRUE(queue.is_closed()) << "nothing else ends it";
  loop.join();
  EXPECT_TRUE(in_order);
  EXPECT_EQ(seen, queue.lines());
  EXPECT_EQ(seen + queue.dropped(), count);
}

class LineQueueOnAPipe : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::pipe2(ends, O_NONBLOCK), 0); }
  void TearDown() override {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  std::string read_all() {
    std::string text(1 << 20, '\0');
    auto const size = ::read(ends[0], text.data(), text.size());
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
  }
  int ends[2];
};

TEST_F(LineQueueOnAPipe, WritesWhatIsThereAndEndsWhenClosed) {
  LineQueue queue(small(64));
  queue.add_ring().put("one\n");
  queue.close();
  EXPECT_EQ(queue.write_to(ends[1]), LineQueue::Ended::closed);
  EXPECT_EQ(read_all(), "one\n");
}

TEST_F(LineQueueOnAPipe, ComesBackFromAnInterruptWithAllWritten) {
  LineQueue queue(small(64));
  queue.add_ring().put("one\n");
  queue.interrupt();
  EXPECT_EQ(queue.write_to(ends[1]), LineQueue::Ended::interrupted);
  EXPECT_EQ(read_all(), "one\n");
}

TEST_F(LineQueueOnAPipe, SaysOnceThatADeviceIsFullAndCountsEveryLine) {
  LineQueue queue(small(64));
  auto& ring = queue.add_ring();
  int const full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  ring.put("one\n");
  EXPECT_EQ(queue.write_to(full), LineQueue::Ended::failed);
  EXPECT_EQ(queue.error(), ENOSPC);
  ring.put("two\n");
  ring.put("three\n");
  queue.interrupt();
  EXPECT_EQ(queue.write_to(full), LineQueue::Ended::interrupted);
  EXPECT_EQ(queue.dropped(), 3u);
  EXPECT_EQ(queue.lines(), 0u);
  ring.put("four\n");
  EXPECT_EQ(queue.write_to(ends[1]), LineQueue::Ended::recovered);
  EXPECT_EQ(read_all(), "four\n");
  EXPECT_EQ(queue.lines(), 1u);
  ::close(full);
}

// A pipe takes what it has room for, which need not end where a line does.
TEST_F(LineQueueOnAPipe, EndsATornLineBeforeItWritesTheNext) {
  LineQueue queue(small(1 << 18));
  auto& ring = queue.add_ring();
  std::string const line = line_of(1000);
  for (int i = 0; i < 100; ++i) ring.put(line);
  EXPECT_EQ(queue.write_to(ends[1]), LineQueue::Ended::failed);
  EXPECT_EQ(queue.error(), EAGAIN);
  auto const first = read_all();
  ASSERT_NE(first.back(), '\n');
  EXPECT_EQ(queue.lines(),
            static_cast<std::uint64_t>(std::count(first.begin(), first.end(), '\n')));
  ring.put("whole\n");
  EXPECT_EQ(queue.write_to(ends[1]), LineQueue::Ended::recovered);
  EXPECT_EQ(read_all(), "\nwhole\n");
}

TEST_F(LineQueueOnAPipe, CountsEveryLineOnceThoughOneIsTorn) {
  LineQueue queue(small(1 << 18));
  auto& ring = queue.add_ring();
  for (int i = 0; i < 100; ++i) ring.put(line_of(1000));
  EXPECT_EQ(queue.write_to(ends[1]), LineQueue::Ended::failed);
  for (int batch = 0; batch < 2; ++batch) {
    ring.put("no room\n");
    queue.interrupt();
    EXPECT_EQ(queue.write_to(ends[1]), LineQueue::Ended::interrupted);
  }
  auto const first = read_all();
  ASSERT_NE(first.back(), '\n');
  auto const whole = static_cast<std::uint64_t>(std::count(first.begin(), first.end(), '\n'));
  EXPECT_EQ(queue.lines(), whole);
  EXPECT_EQ(queue.dropped(), 102 - whole);
}

}  // namespace
}  // namespace millrace::observe
