// The rate that a request's body keeps to, with made-up time.
#include <gtest/gtest.h>

#include "../play.hpp"

namespace millrace::http1 {
namespace {

using base::Errc;
using base::seconds;
using proto::Side;
using namespace test;

constexpr std::string_view upload = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";

http::Limits slow() {
  http::Limits limits;
  limits.body_timeout = seconds(10);
  limits.min_body_rate = 100;
  return limits;
}

// Sends so many bytes each second until it is refused; how many seconds that took, or 500.
int seconds_of(Owner& owner, std::size_t bytes) {
  for (int second = 1; second < 500; ++second) {
    owner.tick_at(seconds(second));
    if (owner.has_failed()) return second;
    owner.feed(std::string(bytes, 'x'));
  }
  return 500;
}

TEST(ABodysRate, IsKeptByWhoeverSendsSoMuchOnAverage) {
  auto const limits = slow();
  Owner owner(Side::server, answer_all, limits);
  owner.feed(upload);
  EXPECT_EQ(seconds_of(owner, 100), 500);
}

TEST(ABodysRate, IsNotKeptByWhoeverSendsOneByteLess) {
  auto const limits = slow();
  Owner owner(Side::server, answer_all, limits);
  owner.feed(upload);
  // Of 10 s, 10 ms are lost per second, after the first second's silence.
  EXPECT_GT(seconds_of(owner, 90), 80);
  ASSERT_TRUE(owner.has_failed());
  EXPECT_EQ(owner.error->code, Errc::body_timeout);
  EXPECT_TRUE(owner.output.starts_with("HTTP/1.1 408 ")) << owner.output;
}

TEST(ABodysRate, LetsADripLiveNoLongerThanSilence) {
  auto const limits = slow();
  Owner owner(Side::server, answer_all, limits);
  owner.feed(upload);
  EXPECT_EQ(seconds_of(owner, 1), 11) << "10 s, and what 10 bytes earned";
}

TEST(ABodysRate, IsNobodysBusinessWhereItIsZero) {
  auto limits = slow();
  limits.min_body_rate = 0;
  Owner owner(Side::server, answer_all, limits);
  owner.feed(upload);
  EXPECT_EQ(seconds_of(owner, 1), 500);
}

TEST(ABodysRate, IsMeasuredOnlyWhileSomebodyWaits) {
  auto const limits = slow();
  Owner owner(Side::server, nullptr, limits);
  owner.feed(upload);
  owner.say(1, http::Credit{10});
  owner.now = seconds(4);
  owner.feed(std::string(10, 'x'));
  owner.tick_at(seconds(1000));  // the reader has asked for no more
  EXPECT_FALSE(owner.has_failed());
  owner.say(1, http::Credit{10});
  // 10 s, less 4 s of waiting, and 0.1 s for the bytes.
  auto const left = seconds(6) + base::milliseconds(100);
  EXPECT_EQ(owner.codec->deadline(), seconds(1000) + left);
  owner.tick_at(seconds(1000) + left - 1);
  EXPECT_FALSE(owner.has_failed());
  owner.tick_at(seconds(1000) + left);
  EXPECT_TRUE(owner.has_failed());
}

TEST(ABodysRate, IsNotMeasuredWhileOutputWaitsForTheClient) {
  auto const limits = slow();
  Owner owner(Side::server, nullptr, limits);
  owner.feed(upload);
  owner.say(1, http::Credit{10});
  owner.codec->output_waits(true, seconds(4));
  owner.tick_at(seconds(1000));
  EXPECT_FALSE(owner.has_failed()) << "we may have stopped reading";
  owner.codec->output_waits(false, seconds(1000));
  EXPECT_EQ(owner.codec->deadline(), seconds(1006));
}

TEST(ABodysRate, IsAskedOfRequestsOnly) {
  auto const limits = slow();
  Owner owner(Side::client, nullptr, limits);
  http::RequestMessage ask;
  ask.head.authority = "a";
  owner.say(1, std::move(ask));
  owner.feed("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
  owner.say(1, unlimited());
  EXPECT_EQ(seconds_of(owner, 1), 500);
}

}  // namespace
}  // namespace millrace::http1
