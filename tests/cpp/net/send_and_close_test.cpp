#include <fcntl.h>
#include <gtest/gtest.h>

#include "net/sockets.hpp"

#include "millrace/net/listener.hpp"

namespace millrace::net {
namespace {

TEST(SendAndClose, AnswerArrivesAlthoughTheRequestWasNotLookedAt) {
  auto pair = testing::tcp_pair();
  testing::send_text(pair.peers, std::string(10'000, 'x'));
  send_and_close(pair.ours.release(), "come back later");
  EXPECT_EQ(testing::receive_text(pair.peers, 1000), "come back later");
}

TEST(SendAndClose, PeerThatHasGoneIsNoHarm) {
  auto pair = testing::tcp_pair();
  testing::reset(pair.peers);
  int const descriptor = pair.ours.release();
  send_and_close(descriptor, "anyone?");
  EXPECT_LT(::fcntl(descriptor, F_GETFD), 0);
}

}  // namespace
}  // namespace millrace::net
