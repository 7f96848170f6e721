// What a peer that takes its answer slowly may cost, to the nanosecond and to the byte: the clock
// is the test's.
#include "bench_of_one_connection.hpp"

namespace millrace::conn {
namespace {

constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

class SlowPeer : public OneConnection {
 protected:
  SlowPeer() : OneConnection([] { return time; }) {}

  // Puts what begins now and ends after `lasting` at the very end of a slot of the wheel, which
  // meets a deadline when its slot is over: here a nanosecond later.
  void begin_what_ends_after(base::Duration lasting) {
    constexpr auto slot = base::Time{1} << net::TimerWheel::slot_shift;
    auto const end = (time + lasting + slot) / slot * slot - 1;
    pass(end - lasting - time);
  }
  // With turns on the way, as a loop has them: a timer that was put off finds its slot.
  void pass(base::Duration duration) {
    for (auto const step : {duration - 1, base::Duration{1}}) {
      time += step;
      for (int i = 0; i < 100; ++i) reactor.turn(0);
    }
  }
  void answer_at_length() {
    service.exchange = [this](Exchange& x) { x.reply({}, base::Bytes::borrowed(large)); };
    serve_http1();
    peer->stops_reading();
    peer->says(get);
  }
  std::uint64_t write_timeouts() { return reactor.counters().write_timeouts.get(); }

  static inline base::Time time = base::seconds(1'000);
  std::string const large = std::string(1'000'000, 'x');
};

TEST_F(SlowPeer, IsWaitedForAsLongAsTheWriteTimeoutAndNoLonger) {
  options.pump.write_timeout = base::seconds(60);
  begin_what_ends_after(base::seconds(60));
  answer_at_length();
  pass(base::seconds(60));
  EXPECT_EQ(service.closed, 0);
  pass(1);
  EXPECT_EQ(service.closed, 1);
  EXPECT_TRUE(peer->reset);
  EXPECT_EQ(write_timeouts(), 1u);
}

TEST_F(SlowPeer, ThatKeepsToTheRateIsWaitedForWithoutEnd) {
  options.pump.write_timeout = base::seconds(10);
  options.pump.min_response_rate = 1'000;
  pipe_bytes = 10'000;
  answer_at_length();
  for (int i = 0; i < 30; ++i) {
    pass(base::seconds(10));
    ASSERT_EQ(service.closed, 0) << i;
    peer->takes_what_the_pipe_holds();
  }
  EXPECT_EQ(peer->heard.size(), 300'000u);
  EXPECT_EQ(write_timeouts(), 0u);
}

TEST_F(SlowPeer, ThatTakesOneByteLessUsesUpTheWriteTimeout) {
  options.pump.write_timeout = base::seconds(10);
  options.pump.min_response_rate = 1'000;
  pipe_bytes = 9'999;
  begin_what_ends_after(base::milliseconds(19'999));
  answer_at_length();
  pass(base::seconds(10));
  peer->takes_what_the_pipe_holds();  // which earns as many milliseconds
  pass(base::milliseconds(9'999));
  EXPECT_EQ(service.closed, 0);
  pass(1);
  EXPECT_EQ(service.closed, 1);
  EXPECT_EQ(write_timeouts(), 1u);
}

TEST_F(SlowPeer, IsListenedToAfterARefusalForAsLongAsTheLingerTimeout) {
  options.pump.linger_timeout = base::seconds(2);
  serve_http1();
  begin_what_ends_after(base::seconds(2));
  peer->says("NONSENSE\r\n\r\n");
  pass(base::seconds(2));
  EXPECT_EQ(service.closed, 0);
  pass(1);
  EXPECT_EQ(service.closed, 1);
  EXPECT_EQ(reactor.counters().connections_lingered.get(), 1u);
}

// The mark counts twice: for what waits in the connection, and for what its writer adds meanwhile.
TEST_F(SlowPeer, HasItsAnswerHeldBackAtTheMarkAndItsWriterPausedAtTheMark) {
  options.pump.high_water_bytes = 10'000;
  pipe_bytes = 1'000;
  Exchange* open = nullptr;
  service.exchange = [&open](Exchange& x) {
    open = &x;
    x.start({.status = 200, .preset = nullptr, .fields = {}, .content_length = 100'000});
  };
  serve_http1();
  peer->stops_reading();
  peer->says(get);
  auto const writes = [&](std::size_t size) {
    return open->write(base::Bytes::copy_of(large.substr(0, size)));
  };
  auto const unsent = [this] {
    std::vector<ConnectionReport> reports;
    set.list(reports, 1);
    return reports.at(0).unsent_bytes;
  };
  EXPECT_TRUE(writes(1'000));  // the pipe is full, as the head is in it
  EXPECT_TRUE(writes(9'999 - unsent()));
  EXPECT_EQ(unsent(), 9'999u);
  EXPECT_EQ(reactor.counters().outputs_held_back.get(), 0u);
  EXPECT_TRUE(writes(1));
  EXPECT_EQ(unsent(), 10'000u);
  EXPECT_EQ(reactor.counters().outputs_held_back.get(), 1u);
  EXPECT_TRUE(writes(9'998));
  EXPECT_FALSE(writes(1)) << "10,000 are not with the connection yet";
  open->fail({base::Errc::cancelled, {}, {}});
}

}  // namespace
}  // namespace millrace::conn
