#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>

#include "net/loops.hpp"
#include "net/scratch.hpp"
#include "net/sockets.hpp"

#include "millrace/net/accept_queue.hpp"
#include "millrace/net/listener.hpp"

namespace millrace::net {
namespace {

using testing::connect_to;
using testing::Descriptor;
using testing::listen_on;
using testing::LoopThread;
using testing::turn_until;

// Connections as they come, from any loop.
class Arrived {
 public:
  OnAccept taker() {
    return [this](int descriptor, const Peer& peer) {
      std::lock_guard const guard(lock_);
      connections_.emplace_back(descriptor);
      peers_.push_back(peer);
      came_.notify_all();
    };
  }
  [[nodiscard]] bool wait_for(std::size_t count) {
    std::unique_lock guard(lock_);
    return came_.wait_for(guard, std::chrono::nanoseconds(testing::patience),
                          [&] { return connections_.size() >= count; });
  }
  std::size_t count() {
    std::lock_guard const guard(lock_);
    return connections_.size();
  }
  std::vector<Peer> peers() {
    std::lock_guard const guard(lock_);
    return peers_;
  }
  int first() { return connections_.front().get(); }

 private:
  std::mutex lock_;
  std::condition_variable came_;
  std::vector<Descriptor> connections_;
  std::vector<Peer> peers_;
};

// Several loops with a thread each, accepting from one socket.
class SharedListener {
 public:
  SharedListener(std::size_t loops, Wakeup wakeup, const OnAccept& on_accept,
                 std::string_view address = "127.0.0.1:0")
      : socket(listen_on(address)) {
    for (std::size_t i = 0; i < loops; ++i) {
      auto& loop = loops_.emplace_back();
      acceptors_.push_back(make_acceptor(loop.reactor, socket, wakeup, on_accept));
      loop.call([this] { EXPECT_TRUE(acceptors_.back()->start()); });
    }
  }
  ~SharedListener() {
    stop();
    // The tasks that carry late arrivals must be gone before who they were for.
    for (auto& loop : loops_) loop.join();
  }
  void stop() {
    for (std::size_t i = 0; i < loops_.size(); ++i) loops_[i].call([&] { acceptors_[i]->stop(); });
  }
  std::uint64_t sum(trace::Counter trace::LoopCounters::*counter) const {
    std::uint64_t all = 0;
    for (auto const& loop : loops_) all += (loop.reactor.counters().*counter).get();
    return all;
  }
  std::uint64_t context_switches() {
    std::uint64_t all = 0;
    for (auto& loop : loops_)
      all += loop.call([] {
        rusage usage;
        ::getrusage(RUSAGE_THREAD, &usage);
        return static_cast<std::uint64_t>(usage.ru_nvcsw);
      });
    return all;
  }

  ListenSocket socket;

 private:
  std::deque<LoopThread> loops_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
};

class AnyWakeup : public ::testing::TestWithParam<Wakeup> {};
std::string name_of(const ::testing::TestParamInfo<Wakeup>& info) {
  switch (info.param) {
    case Wakeup::epoll:
      return "Epoll";
    case Wakeup::epoll_exclusive:
      return "EpollExclusive";
    case Wakeup::blocking:
      return "Blocking";
  }
  return {};
}
INSTANTIATE_TEST_SUITE_P(Acceptor, AnyWakeup,
                         ::testing::Values(Wakeup::epoll, Wakeup::epoll_exclusive,
                                           Wakeup::blocking),
                         name_of);

std::uint16_t port_of(const Descriptor& client) {
  Endpoint own;
  own.size = sizeof own.storage;
  ::getsockname(client.get(), own.address(), &own.size);
  return own.port();
}

TEST_P(AnyWakeup, EveryConnectionIsAcceptedOnceByOneOfTheLoops) {
  Arrived arrived;
  SharedListener shared(3, GetParam(), arrived.taker());
  std::map<std::uint16_t, int> seen;
  std::vector<Descriptor> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(connect_to(shared.socket.endpoint()));
    seen[port_of(clients.back())] = 0;
    // In bursts and one by one.
    if (i % 40 == 0) {
      ASSERT_TRUE(arrived.wait_for(clients.size()));
    }
  }
  ASSERT_TRUE(arrived.wait_for(clients.size()));
  for (auto const& peer : arrived.peers()) {
    ++seen[peer.endpoint.port()];
    EXPECT_EQ(peer.endpoint.host(), "127.0.0.1");
    EXPECT_GT(peer.ready, 0);
  }
  for (auto const& [port, times] : seen) EXPECT_EQ(times, 1) << port;
  EXPECT_EQ(shared.sum(&trace::LoopCounters::accepts), clients.size());
  EXPECT_EQ(shared.sum(&trace::LoopCounters::accept_failures), 0u);
}

TEST_P(AnyWakeup, AcceptedDescriptorIsReadyForUse) {
  Arrived arrived;
  SharedListener shared(1, GetParam(), arrived.taker());
  auto const client = connect_to(shared.socket.endpoint());
  ASSERT_TRUE(arrived.wait_for(1));
  EXPECT_TRUE(::fcntl(arrived.first(), F_GETFL) & O_NONBLOCK);
  EXPECT_TRUE(::fcntl(arrived.first(), F_GETFD) & FD_CLOEXEC);
  int no_delay = 0;
  socklen_t size = sizeof no_delay;
  ASSERT_EQ(::getsockopt(arrived.first(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
  EXPECT_NE(no_delay, 0) << "inherited from the listening socket";
}

TEST_P(AnyWakeup, IsCalledOnItsLoop) {
  auto const socket = listen_on("127.0.0.1:0");
  LoopThread loop;
  std::promise<bool> in_thread;
  auto const acceptor =
      make_acceptor(loop.reactor, socket, GetParam(), [&](int descriptor, const Peer&) {
        ::close(descriptor);
        in_thread.set_value(loop.reactor.in_thread());
      });
  loop.call([&] { EXPECT_TRUE(acceptor->start()); });
  auto const client = connect_to(socket.endpoint());
  EXPECT_TRUE(in_thread.get_future().get());
  loop.call([&] { acceptor->stop(); });
}

TEST_P(AnyWakeup, StopEndsAllAcceptorsOfASocketWhoeverStopsFirst) {
  for (int round = 0; round < 20; ++round) {
    Arrived arrived;
    SharedListener shared(4, GetParam(), arrived.taker());
    auto const client = connect_to(shared.socket.endpoint());
    if (round % 2 == 0) {
      ASSERT_TRUE(arrived.wait_for(1));
    }
    shared.stop();
    auto const count = arrived.count();
    shared.stop();
    EXPECT_EQ(arrived.count(), count) << "nothing comes after stop()";
  }
}

TEST_P(AnyWakeup, NeverStartedEndsQuietly) {
  auto const socket = listen_on("127.0.0.1:0");
  Reactor reactor;
  auto const acceptor =
      make_acceptor(reactor, socket, GetParam(), [](int d, const Peer&) { ::close(d); });
  acceptor->stop();
}

TEST_P(AnyWakeup, FullDescriptorTablePausesAcceptingAndLosesNobody) {
  auto const socket = listen_on("127.0.0.1:0");
  Arrived arrived;
  LoopThread loop;
  auto const acceptor = make_acceptor(loop.reactor, socket, GetParam(), arrived.taker());
  std::vector<Descriptor> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(testing::plain_socket(socket.endpoint()));
  loop.call([&] { EXPECT_TRUE(acceptor->start()); });
  auto const& counters = loop.reactor.counters();
  {
    testing::NoMoreDescriptors const full;
    for (auto const& client : clients)
      ASSERT_EQ(::connect(client.get(), socket.endpoint().address(), socket.endpoint().size), 0);
    auto const begin = Reactor::clock();
    auto const waits = counters.waits.get();
    while (counters.accept_failures.get() < 2 && Reactor::clock() - begin < testing::patience)
      std::this_thread::yield();
    EXPECT_GE(counters.accept_failures.get(), 2u);
    EXPECT_GE(Reactor::clock() - begin, accept_pause) << "it pauses between two failures";
    EXPECT_LE(counters.waits.get() - waits, 10u) << "and does not spin meanwhile";
  }
  EXPECT_TRUE(arrived.wait_for(clients.size()));
  EXPECT_EQ(counters.accepts.get(), clients.size());
  loop.call([&] { acceptor->stop(); });
}

TEST_P(AnyWakeup, AcceptsFromAUnixPath) {
  testing::ScratchFolder const folder;
  auto const socket = listen_on("unix:" + folder.path() + "/socket");
  Arrived arrived;
  LoopThread loop;
  auto const acceptor = make_acceptor(loop.reactor, socket, GetParam(), arrived.taker());
  loop.call([&] { EXPECT_TRUE(acceptor->start()); });
  auto const client = connect_to(socket.endpoint());
  ASSERT_TRUE(arrived.wait_for(1));
  EXPECT_EQ(arrived.peers().front().endpoint.to_string(), "unix:");
  loop.call([&] { acceptor->stop(); });
}

// The end of one that accepts is not the end of the socket: another process may hold it too.
TEST_P(AnyWakeup, StopLeavesTheSocketAndItsQueueToOthers) {
  auto const owned = listen_on("127.0.0.1:0");
  auto const inherited = "fd://" + std::to_string(owned.descriptor());
  auto const other = listen_on(inherited);  // as another process would hold it
  {
    Arrived arrived;
    SharedListener shared(2, GetParam(), arrived.taker(), inherited);
    auto const client = connect_to(owned.endpoint());
    ASSERT_TRUE(arrived.wait_for(1));
    shared.stop();
    auto const queued = connect_to(owned.endpoint());
    testing::send_text(queued, "still here");
    Descriptor const taken(::accept(other.descriptor(), nullptr, nullptr));
    ASSERT_GE(taken.get(), 0);
    EXPECT_EQ(testing::receive_text(taken, 10), "still here");
    EXPECT_EQ(arrived.count(), 1u);
  }
  auto const late = connect_to(owned.endpoint());
  EXPECT_GE(Descriptor(::accept(other.descriptor(), nullptr, nullptr)).get(), 0);
}

TEST_P(AnyWakeup, AcceptsThoughAnotherHolderMakesTheSocketNonBlocking) {
  auto const owned = listen_on("127.0.0.1:0");
  auto const inherited = "fd://" + std::to_string(owned.descriptor());
  Arrived arrived;
  SharedListener shared(2, GetParam(), arrived.taker(), inherited);
  for (std::size_t i = 1; i <= 10; ++i) {
    auto const newcomer = listen_on(inherited);
    auto const client = connect_to(owned.endpoint());
    ASSERT_TRUE(arrived.wait_for(i));
  }
  shared.stop();
}

// One that takes connections while its loop is held up, as a long handler does.
class HeldUp {
 public:
  // On the loop: connects so many clients, and waits until so many are left to the kernel.
  void connect(std::size_t count, std::uint32_t left) {
    for (std::size_t i = 0; i < count; ++i) clients_.push_back(connect_to(socket.endpoint()));
    auto const give_up = Reactor::clock() + testing::patience;
    while (depth() != left && Reactor::clock() < give_up) std::this_thread::yield();
    EXPECT_EQ(depth(), left);
  }
  ~HeldUp() { loop.join(); }

  ListenSocket socket = listen_on("127.0.0.1:0");
  Arrived arrived;
  LoopThread loop;
  std::unique_ptr<Acceptor> acceptor =
      make_acceptor(loop.reactor, socket, Wakeup::blocking, arrived.taker());

 private:
  std::uint32_t depth() {
    return accept_queue(socket.descriptor(), socket.endpoint().family())->depth;
  }
  std::vector<Descriptor> clients_;
};

TEST(Acceptor, BlockingTakesSoManyForALoopThatIsHeldUpAndLeavesOneMoreToOthers) {
  HeldUp held;
  held.loop.call([&] { EXPECT_TRUE(held.acceptor->start()); });
  held.loop.call([&] {
    held.connect(most_arrivals, 0);
    held.connect(1, 1);
    Descriptor const other(::accept(held.socket.descriptor(), nullptr, nullptr));
    EXPECT_GE(other.get(), 0);
    held.connect(2, 2);
  });
  EXPECT_TRUE(held.arrived.wait_for(most_arrivals + 2));
  EXPECT_EQ(held.loop.reactor.counters().accepts.get(), most_arrivals + 2);
  held.loop.call([&] { held.acceptor->stop(); });
}

TEST(Acceptor, BlockingStopsWhileItWaitsForItsLoop) {
  HeldUp held;
  held.loop.call([&] {
    EXPECT_TRUE(held.acceptor->start());
    held.connect(most_arrivals + 1, 1);
    held.acceptor->stop();
  });
  EXPECT_EQ(held.arrived.count(), most_arrivals);
}

TEST(Acceptor, BlockingLeavesTheProcessItsSignals) {
  static std::atomic<int> heard = 0;
  struct sigaction mine {
  }, before{}, after{};
  mine.sa_handler = [](int) { ++heard; };
  ASSERT_EQ(::sigaction(SIGURG, &mine, &before), 0);
  {
    Arrived arrived;
    SharedListener shared(4, Wakeup::blocking, arrived.taker());
    shared.stop();
  }
  ASSERT_EQ(::sigaction(SIGURG, &before, &after), 0);
  EXPECT_EQ(after.sa_handler, mine.sa_handler);
  EXPECT_EQ(heard, 0);
}

// ---------------------------------------------------------------- by hand, on one thread

struct ByHand {
  Reactor reactor;
  Arrived arrived;
  std::unique_ptr<Acceptor> acceptor;
  explicit ByHand(const ListenSocket& socket)
      : acceptor(make_acceptor(reactor, socket, Wakeup::epoll, arrived.taker())) {
    EXPECT_TRUE(acceptor->start());
  }
};

TEST(Acceptor, AloneOnItsSocketTakesABurstAtOnce) {
  auto const socket = listen_on("127.0.0.1:0");
  ByHand alone(socket);
  std::vector<Descriptor> clients;
  for (int i = 0; i < accepts_per_wakeup + 3; ++i) clients.push_back(connect_to(socket.endpoint()));
  alone.reactor.turn(0);
  EXPECT_EQ(alone.arrived.count(), static_cast<std::size_t>(accepts_per_wakeup));
  alone.reactor.turn(0);
  EXPECT_EQ(alone.arrived.count(), clients.size());
  EXPECT_EQ(alone.reactor.counters().accept_misses.get(), 0u);
}

TEST(Acceptor, OnASharedSocketTakesOneAtATimeSoThatABurstSpreads) {
  auto const socket = listen_on("127.0.0.1:0");
  ByHand first(socket), second(socket);
  std::vector<Descriptor> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(connect_to(socket.endpoint()));
  for (int i = 0; i < 3; ++i) {
    first.reactor.turn(0);
    second.reactor.turn(0);
  }
  EXPECT_EQ(first.arrived.count(), 3u);
  EXPECT_EQ(second.arrived.count(), 3u);
}

TEST(Acceptor, OnAnInheritedSocketLeavesTheRestOfABurstToOtherProcesses) {
  auto const owned = listen_on("127.0.0.1:0");
  auto const inherited = listen_on("fd://" + std::to_string(owned.descriptor()));
  ByHand one(inherited);
  std::vector<Descriptor> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(connect_to(owned.endpoint()));
  one.reactor.turn(0);
  EXPECT_EQ(one.arrived.count(), 1u);
}

TEST(Acceptor, CountsAMissWhenAnotherWasFaster) {
  struct Thief final : Readiness {
    const ListenSocket& socket;
    Descriptor stolen;
    explicit Thief(const ListenSocket& s) : socket(s) {}
    void on_ready(std::uint32_t) override {
      if (stolen.get() < 0)
        stolen = Descriptor(::accept4(socket.descriptor(), nullptr, nullptr, SOCK_CLOEXEC));
    }
  };
  auto const socket = listen_on("127.0.0.1:0");
  ByHand slow(socket);
  Thief thief(socket);
  Descriptor const signal(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  ASSERT_TRUE(slow.reactor.watch(signal.get(), EPOLLIN, thief));
  ASSERT_EQ(::eventfd_write(signal.get(), 1), 0);  // first in the batch
  auto const client = connect_to(socket.endpoint());
  slow.reactor.turn(0);
  EXPECT_EQ(slow.reactor.counters().accept_misses.get(), 1u);
  EXPECT_EQ(slow.reactor.counters().accepts.get(), 0u);
}

TEST(Acceptor, StoppedLeavesWaitingConnectionsToOthers) {
  auto const socket = listen_on("127.0.0.1:0");
  ByHand first(socket), second(socket);
  auto const client = connect_to(socket.endpoint());
  first.acceptor->stop();
  first.reactor.turn(0);
  EXPECT_EQ(first.arrived.count(), 0u);
  second.reactor.turn(0);
  EXPECT_EQ(second.arrived.count(), 1u);
}

// Four loops asleep, connections one by one: without EPOLLEXCLUSIVE the kernel wakes them all for
// each.
std::uint64_t context_switches_of(Wakeup wakeup) {
  Arrived arrived;
  SharedListener shared(4, wakeup, arrived.taker());
  auto const before = shared.context_switches();
  for (std::size_t i = 1; i <= 300; ++i) {
    auto const client = connect_to(shared.socket.endpoint());
    EXPECT_TRUE(arrived.wait_for(i));
  }
  return shared.context_switches() - before;
}

TEST(Acceptor, ExclusiveWakeUpsSwitchContextsLessOften) {
  auto const all = context_switches_of(Wakeup::epoll);
  auto const one = context_switches_of(Wakeup::epoll_exclusive);
  RecordProperty("epoll", static_cast<int>(all));
  RecordProperty("epoll_exclusive", static_cast<int>(one));
  EXPECT_LT(one * 3, all * 2) << "epoll: " << all << ", epoll_exclusive: " << one;
}

}  // namespace
}  // namespace millrace::net
