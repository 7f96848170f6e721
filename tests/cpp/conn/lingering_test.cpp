// After a refusal the peer is listened to for a while, so that it can read why.
#include "bench_of_one_connection.hpp"

namespace millrace::conn {
namespace {

TEST_F(OneConnection, SwallowsSoMuchOfWhatARefusedPeerGoesOnToSend) {
  options.pump.linger_bytes = 1000;
  serve_http1();
  peer->says("NONSENSE\r\n\r\n");
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 400 ")) << peer->heard;
  EXPECT_TRUE(peer->ended) << "there is no more to come";
  EXPECT_EQ(reactor.counters().connections_lingered.get(), 1u);
  peer->says(std::string(1000, 'x'));
  EXPECT_EQ(service.closed, 0) << "just as much";
  peer->says("x");
  EXPECT_EQ(service.closed, 1);
}

TEST_F(OneConnection, DoesNotLingerOverAPeerThatHasEnded) {
  serve_http1();
  peer->says("NONSENSE\r\n\r\n");
  peer->ends();
  EXPECT_EQ(service.closed, 1);
}

}  // namespace
}  // namespace millrace::conn
