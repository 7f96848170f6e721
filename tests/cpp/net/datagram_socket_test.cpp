// UDP over the loopback: what one system call carries, and what is dropped.
#include "millrace/net/datagram_socket.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "full_kernel.hpp"
#include "loops.hpp"
#include "sockets.hpp"

namespace millrace::net {
namespace {

using testing::Descriptor;

Descriptor client_of(const Endpoint& to) {
  Descriptor client(::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(client.get(), to.address(), to.size), 0);
  return client;
}

std::string receive(const Descriptor& from) {
  std::string text(70'000, '\0');
  auto const got = ::recv(from.get(), text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return text;
}

// A socket on a loop that keeps what it gets; the loop turns where a test says.
struct Bench {
  explicit Bench(DatagramOptions options = {}, std::string_view at = "127.0.0.1:0")
      : buffers(options.batch) {
    auto opened = DatagramSocket::open(*Endpoint::parse(at), options);
    EXPECT_TRUE(opened);
    socket = std::move(*opened);
    EXPECT_TRUE(socket->start(
        reactor, buffers, [this](DatagramSocket&, base::ByteView datagram, const Endpoint& from) {
          got.emplace_back(datagram);
          peer = from;
        }));
  }
  const trace::LoopCounters& counters() const { return reactor.counters(); }

  Reactor reactor;
  DatagramBuffers buffers;
  std::unique_ptr<DatagramSocket> socket;
  std::vector<std::string> got;
  Endpoint peer;
};

TEST(DatagramSocket, ReadsABurstAndAnswersItWithOneCallEach) {
  Bench bench;
  auto const client = client_of(bench.socket->endpoint());
  for (int i = 0; i < 20; ++i) testing::send_text(client, std::string(10 + i % 3 * 10, 'x'));
  ASSERT_TRUE(testing::turn_until(bench.reactor, [&] { return bench.got.size() == 20; }));
  EXPECT_EQ(bench.counters().reads.get(), 1u);
  EXPECT_EQ(bench.counters().messages_in.get(), 20u);
  for (auto const& text : bench.got) bench.socket->send(bench.peer, text);
  bench.socket->flush();
  EXPECT_EQ(bench.counters().writes.get(), 1u);
  EXPECT_EQ(bench.counters().messages_out.get(), 20u);
  for (auto const& text : bench.got) EXPECT_EQ(receive(client), text);
}

TEST(DatagramSocket, TakesNoMoreThanABatchPerCall) {
  Bench bench({.batch = 4});
  auto const client = client_of(bench.socket->endpoint());
  for (int i = 0; i < 9; ++i) testing::send_text(client, std::to_string(i));
  ASSERT_TRUE(testing::turn_until(bench.reactor, [&] { return bench.got.size() == 9; }));
  EXPECT_EQ(bench.counters().reads.get(), 3u);
  EXPECT_EQ(bench.got.back(), "8");
}

// One group from socket to socket; where the kernel has no UDP_SEGMENT the content is the same.
TEST(DatagramSocket, GroupsEqualSizesToOnePeer) {
  Bench from, to;
  auto const& at = to.socket->endpoint();
  std::vector<std::string> sent;
  for (int i = 0; i < 7; ++i) sent.push_back(std::string(1000, static_cast<char>('a' + i)));
  sent.push_back("the last is smaller");
  for (auto const& text : sent) from.socket->send(at, text);
  from.socket->flush();
  ASSERT_TRUE(testing::turn_until(to.reactor, [&] { return to.got.size() == sent.size(); }));
  EXPECT_EQ(to.got, sent);
  EXPECT_EQ(from.counters().writes.get(), 1u);
  EXPECT_EQ(from.counters().datagrams_joined.get(), to.counters().datagrams_joined.get());
  Descriptor const probe(::socket(AF_INET, SOCK_DGRAM, 0));
  int const off = 0;
  constexpr int udp = 17, segment = 103;  // udp(7); older headers have no names for them
  bool const can_group = ::setsockopt(probe.get(), udp, segment, &off, sizeof off) == 0;
  EXPECT_EQ(from.counters().datagrams_joined.get(), can_group ? sent.size() : 0);
}

TEST(DatagramSocket, TakesADatagramAtTheLimitAndDropsOneBeyond) {
  Bench bench({.datagram_bytes = 100});
  auto const client = client_of(bench.socket->endpoint());
  testing::send_text(client, std::string(101, 'x'));
  testing::send_text(client, std::string(100, 'y'));
  testing::send_text(client, "");
  ASSERT_TRUE(testing::turn_until(bench.reactor, [&] { return bench.got.size() == 2; }));
  EXPECT_EQ(bench.got, (std::vector<std::string>{std::string(100, 'y'), ""}));
  EXPECT_EQ(bench.counters().datagrams_too_large.get(), 1u);
}

TEST(DatagramSocket, GivesUpWhatTheKernelRefusesAndSendsTheRest) {
  Bench bench;
  auto const client = client_of(bench.socket->endpoint());
  testing::send_text(client, "hello");
  ASSERT_TRUE(testing::turn_until(bench.reactor, [&] { return bench.got.size() == 1; }));
  bench.socket->send(bench.peer, std::string(65'508, 'x'));  // no IPv4 datagram carries it
  bench.socket->send(bench.peer, "next");
  bench.socket->flush();
  EXPECT_EQ(receive(client), "next");
  EXPECT_EQ(bench.counters().datagrams_dropped.get(), 1u);
}

TEST(DatagramSocket, WaitsForRoomWithinItsLimitAndDropsTheRest) {
  Bench bench({.unsent_datagrams = 3});
  auto const client = client_of(bench.socket->endpoint());
  testing::send_text(client, "hello");
  ASSERT_TRUE(testing::turn_until(bench.reactor, [&] { return bench.got.size() == 1; }));
  auto const& c = bench.counters();
  testing::kernel_is_full = true;
  for (auto const* text : {"one", "two", "three", "four", "five"})
    bench.socket->send(bench.peer, text);
  bench.socket->flush();
  testing::kernel_is_full = false;
  EXPECT_EQ(c.writes_blocked.get(), 1u);
  EXPECT_EQ(c.datagrams_dropped.get(), 2u);
  EXPECT_EQ(c.messages_out.get(), 0u);
  ASSERT_TRUE(testing::turn_until(bench.reactor, [&] { return c.messages_out.get() == 3; }));
  for (auto const* text : {"one", "two", "three"}) EXPECT_EQ(receive(client), text);
}

TEST(DatagramSocket, CountsWhatTheKernelLost) {
  Bench bench({.socket = {.receive_buffer = 4608}});
  auto const client = client_of(bench.socket->endpoint());
  for (int i = 0; i < 100; ++i) testing::send_text(client, std::string(1000, 'x'));
  // The kernel tells of losses with the datagrams that come after them.
  ASSERT_TRUE(testing::turn_until(bench.reactor, [&] { return !bench.got.empty(); }));
  testing::send_text(client, "last");
  ASSERT_TRUE(testing::turn_until(bench.reactor, [&] { return bench.got.back() == "last"; }));
  EXPECT_EQ(bench.counters().datagrams_lost.get() + bench.got.size(), 101u);
}

TEST(DatagramSocket, OfSeveralReadersCountsWhatWasLostSinceItBegan) {
  Bench bench({.socket = {.receive_buffer = 4608}});
  auto const at = "fd://" + std::to_string(bench.socket->descriptor());
  Bench silent({.counts_losses = false}, at);
  auto const client = client_of(bench.socket->endpoint());
  for (int i = 0; i < 100; ++i) testing::send_text(client, std::string(1000, 'x'));
  ASSERT_TRUE(testing::turn_until(silent.reactor, [&] { return !silent.got.empty(); }));
  Bench later({}, at);
  testing::send_text(client, "last");
  ASSERT_TRUE(testing::turn_until(later.reactor, [&] { return !later.got.empty(); }));
  EXPECT_EQ(later.got.back(), "last");
  EXPECT_EQ(silent.counters().datagrams_lost.get(), 0u);
  EXPECT_EQ(later.counters().datagrams_lost.get(), 0u);
  testing::send_text(client, "more");
  ASSERT_TRUE(testing::turn_until(bench.reactor, [&] { return !bench.got.empty(); }));
  EXPECT_EQ(bench.counters().datagrams_lost.get() + silent.got.size(), 100u);
}

// Each datagram carries the count of the moment at which it was queued.
TEST(DatagramSocket, CountsNothingOfDatagramsThatWereQueuedBeforeItBegan) {
  Bench bench({.socket = {.receive_buffer = 4608}});
  auto const client = client_of(bench.socket->endpoint());
  auto const lose_some = [&] {
    for (int i = 0; i < 100; ++i) testing::send_text(client, std::string(1000, 'x'));
  };
  lose_some();
  ASSERT_TRUE(testing::turn_until(bench.reactor, [&] { return !bench.got.empty(); }));
  lose_some();
  Bench later({}, "fd://" + std::to_string(bench.socket->descriptor()));
  ASSERT_TRUE(testing::turn_until(later.reactor, [&] { return !later.got.empty(); }));
  EXPECT_EQ(later.got.back()[0], 'x');
  EXPECT_EQ(later.counters().datagrams_lost.get(), 0u);
  lose_some();
  auto const before = later.got.size();
  ASSERT_TRUE(testing::turn_until(later.reactor, [&] { return later.got.size() > before; }));
  testing::send_text(client, "last");
  ASSERT_TRUE(testing::turn_until(later.reactor, [&] { return later.got.back() == "last"; }));
  EXPECT_EQ(later.counters().datagrams_lost.get() + later.got.size() - before, 101u);
}

TEST(DatagramSocket, TakesOverWhatIsBoundAndRefusesOtherSockets) {
  Bench bench;
  auto const at = *Endpoint::parse("fd://" + std::to_string(bench.socket->descriptor()));
  auto other = DatagramSocket::open(at, {.socket = {.receive_buffer = 30'000}});
  ASSERT_TRUE(other);
  EXPECT_EQ((*other)->endpoint().port(), bench.socket->endpoint().port());
  Descriptor const stream(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (int const descriptor : {stream.get(), 9999}) {
    auto const refused =
        DatagramSocket::open(*Endpoint::parse("fd://" + std::to_string(descriptor)), {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, base::Errc::invalid_option);
  }
}

TEST(DatagramSocket, ServesIPv6AndRefusesWhatIsNoAddressOfUdp) {
  Bench bench({}, "[::1]:0");
  auto const client = client_of(bench.socket->endpoint());
  testing::send_text(client, "six");
  ASSERT_TRUE(testing::turn_until(bench.reactor, [&] { return bench.got.size() == 1; }));
  EXPECT_EQ(bench.peer.host(), "::1");
  EXPECT_FALSE(DatagramSocket::open(*Endpoint::parse("unix:/tmp/x"), {}));
  auto const taken = DatagramSocket::open(bench.socket->endpoint(), {});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, base::Errc::address_in_use);
}

}  // namespace
}  // namespace millrace::net
