#include "millrace/net/socket_options.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>

#include "net/loops.hpp"
#include "net/scratch.hpp"
#include "net/sockets.hpp"

#include "millrace/net/accept_queue.hpp"
#include "millrace/net/stream.hpp"

namespace millrace::net {
namespace {

using testing::connect_to;
using testing::Descriptor;
using testing::listen_on;
using Verdict = SocketOptionOutcome::Verdict;

SocketOptionOutcome outcome_of(const std::vector<SocketOptionOutcome>& outcomes,
                               std::string_view name) {
  auto const found = std::ranges::find(outcomes, name, &SocketOptionOutcome::name);
  EXPECT_NE(found, outcomes.end()) << name;
  return found == outcomes.end() ? SocketOptionOutcome{} : *found;
}

int option_of(int descriptor, int level, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  EXPECT_EQ(::getsockopt(descriptor, level, option, &value, &size), 0);
  return value;
}

TEST(SocketOptions, ByDefaultOnlyNagleIsSwitchedOff) {
  auto const socket = listen_on("127.0.0.1:0");
  for (auto const& outcome : socket.outcomes()) {
    SCOPED_TRACE(outcome.name);
    bool const is_ours = outcome.name == "nodelay" || outcome.name == "backlog";
    EXPECT_EQ(outcome.verdict == Verdict::taken, is_ours);
    EXPECT_EQ(outcome.why.empty(), outcome.name != "quickack");
  }
}

TEST(SocketOptions, OfAnOutgoingSocketAreSetBeforeItConnects) {
  auto const listener = listen_on("127.0.0.1:0");
  SocketOptions options{.nodelay = 0, .send_buffer = 30'000, .keepalive = 1, .keepalive_idle = 17};
  options.v6_only.reset();
  Reactor reactor;
  Descriptor connected;
  connect_socket(
      reactor, listener.endpoint(), Reactor::clock() + base::seconds(10),
      [&](base::Result<int> result) { connected = Descriptor(result ? *result : -1); }, options);
  ASSERT_TRUE(testing::turn_until(reactor, [&] { return connected.get() >= 0; }));
  EXPECT_EQ(option_of(connected.get(), IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_EQ(option_of(connected.get(), SOL_SOCKET, SO_SNDBUF), 60'000);
  EXPECT_EQ(option_of(connected.get(), IPPROTO_TCP, TCP_KEEPIDLE), 17);
  auto const outcomes = read_socket_options(connected.get(), AF_INET, options, {});
  EXPECT_EQ(outcome_of(outcomes, "keepalive_idle").verdict, Verdict::taken);
  EXPECT_EQ(std::ranges::count(outcomes, "fast_open", &SocketOptionOutcome::name), 1);
}

TEST(SocketOptions, WhatIsNotOfTheFamilyIsLeftOut) {
  testing::ScratchFolder const folder;
  auto const socket = listen_on("unix:" + folder.path() + "/socket",
                                {.socket = {.keepalive = 1, .unix_mode = 0600}});
  EXPECT_EQ(outcome_of(socket.outcomes(), "keepalive").verdict, Verdict::not_applicable);
  EXPECT_EQ(outcome_of(socket.outcomes(), "v6_only").verdict, Verdict::not_applicable);
  EXPECT_EQ(outcome_of(socket.outcomes(), "unix_mode").verdict, Verdict::taken);
}

TEST(SocketOptions, ThoseOfTcpAreNamedForUdp) {
  using enum DatagramSide;
  auto const refused = [](const SocketOptions& options, DatagramSide side) {
    auto const status = check_for_datagrams(options, side);
    auto const detail = status ? std::string() : status.error().detail;
    return detail.substr(0, detail.find(" means"));
  };
  for (auto const side : {server, client}) {
    EXPECT_EQ(refused({}, side), "");
    EXPECT_EQ(refused({.receive_buffer = 1, .send_buffer = 1}, side), "");
    EXPECT_EQ(refused({.nodelay = 0}, side), "socket option 'nodelay'");
    EXPECT_EQ(refused({.keepalive = 1}, side), "socket option 'keepalive'");
    EXPECT_EQ(refused({.congestion_control = "cubic"}, side), "socket option 'congestion_control'");
  }
  EXPECT_EQ(refused({.reuse_port = 1, .v6_only = 0, .incoming_cpu = 0}, server), "");
  EXPECT_EQ(refused({.reuse_port = 1}, client), "socket option 'reuse_port'");
  EXPECT_EQ(refused({.v6_only = 0}, client), "socket option 'v6_only'");
  EXPECT_EQ(refused({.incoming_cpu = 0}, client), "socket option 'incoming_cpu'");
}

TEST(SocketOptions, OfAnInheritedSocketAreSetWhereItIsNotTooLate) {
  auto const owned = listen_on("127.0.0.1:0");
  auto const socket =
      listen_on("fd://" + std::to_string(owned.descriptor()),
                {.socket = {.reuse_port = 1, .keepalive = 1, .keepalive_count = 3}});
  EXPECT_EQ(outcome_of(socket.outcomes(), "keepalive_count").verdict, Verdict::taken);
  EXPECT_EQ(outcome_of(socket.outcomes(), "reuse_port").verdict, Verdict::changed);
  EXPECT_EQ(outcome_of(socket.outcomes(), "backlog").verdict, Verdict::kernel_default);
}

TEST(SocketOptions, APathKeepsThePermissionsItCameWith) {
  testing::ScratchFolder const folder;
  auto const owned =
      listen_on("unix:" + folder.path() + "/socket", {.socket = {.unix_mode = 0600}});
  auto const socket =
      listen_on("fd://" + std::to_string(owned.descriptor()), {.socket = {.unix_mode = 0666}});
  auto const outcome = outcome_of(socket.outcomes(), "unix_mode");
  EXPECT_EQ(outcome.verdict, Verdict::changed);
  EXPECT_EQ(outcome.effective, SocketOptionValue(std::int64_t{0600}));
}

class AnyFamily : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(AcceptQueue, AnyFamily, ::testing::Bool(),
                         [](auto const& info) { return info.param ? "Unix" : "Tcp"; });

TEST_P(AnyFamily, DepthIsWhatWaitsAndLimitTheBacklog) {
  testing::ScratchFolder const folder;
  auto const socket =
      listen_on(GetParam() ? "unix:" + folder.path() + "/socket" : "127.0.0.1:0", {.backlog = 5});
  std::vector<Descriptor> clients;
  for (std::uint32_t waiting = 0; waiting < 4; ++waiting) {
    auto const queue = accept_queue(socket.descriptor(), socket.endpoint().family());
    if (!queue && GetParam()) GTEST_SKIP() << "this kernel has no sock_diag for Unix sockets";
    ASSERT_TRUE(queue);
    EXPECT_EQ(queue->limit, 5u);
    EXPECT_EQ(queue->depth, waiting);
    clients.push_back(connect_to(socket.endpoint()));
  }
  Descriptor const taken(::accept(socket.descriptor(), nullptr, nullptr));
  EXPECT_EQ(accept_queue(socket.descriptor(), socket.endpoint().family())->depth, 3u);
}

TEST(ListenCounters, AreRead) { EXPECT_TRUE(listen_counters()); }

}  // namespace
}  // namespace millrace::net
