#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <optional>

#include "net/loops.hpp"
#include "net/scratch.hpp"
#include "net/sockets.hpp"

#include "millrace/net/stream.hpp"

namespace millrace::net {
namespace {

using base::milliseconds;
using base::seconds;
using testing::turn_until;

struct Attempt {
  std::optional<base::Result<int>> result;
  testing::Descriptor connected;

  Attempt(Reactor& reactor, const Endpoint& to, base::Duration within) {
    connect_socket(reactor, to, Reactor::clock() + within, [this](base::Result<int> r) {
      EXPECT_FALSE(result) << "called once";
      if (r) connected = testing::Descriptor(*r);
      result.emplace(std::move(r));
    });
    EXPECT_FALSE(result) << "never from inside connect_socket";
  }
  base::Errc code() const { return result->error().code; }
};

// Bound, so that nobody else gets the port, but deaf.
Endpoint deaf_endpoint(testing::Descriptor& keeper) {
  auto at = *Endpoint::parse("127.0.0.1:0");
  keeper = testing::plain_socket(at);
  EXPECT_EQ(::bind(keeper.get(), at.address(), at.size), 0);
  EXPECT_EQ(::getsockname(keeper.get(), at.address(), &at.size), 0);
  return at;
}

TEST(Connect, GivesANonBlockingDescriptorWithoutDelay) {
  auto const listener = testing::listen_on("127.0.0.1:0");
  Reactor reactor;
  Attempt attempt(reactor, listener.endpoint(), seconds(10));
  ASSERT_TRUE(turn_until(reactor, [&] { return attempt.result.has_value(); }));
  ASSERT_TRUE(*attempt.result) << attempt.result->error().message();
  int const descriptor = attempt.connected.get();
  EXPECT_TRUE(::fcntl(descriptor, F_GETFL) & O_NONBLOCK);
  EXPECT_TRUE(::fcntl(descriptor, F_GETFD) & FD_CLOEXEC);
  int no_delay = 0;
  socklen_t size = sizeof no_delay;
  ::getsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size);
  EXPECT_NE(no_delay, 0);
  EXPECT_TRUE(reactor.wheel().empty());
}

TEST(Connect, ReachesAUnixPath) {
  testing::ScratchFolder folder;
  auto const listener = testing::listen_on("unix:" + folder.path() + "/socket");
  Reactor reactor;
  Attempt attempt(reactor, listener.endpoint(), seconds(10));
  ASSERT_TRUE(turn_until(reactor, [&] { return attempt.result.has_value(); }));
  EXPECT_TRUE(*attempt.result) << attempt.result->error().message();
}

TEST(Connect, IsRefusedWhereNobodyListens) {
  testing::Descriptor keeper;
  auto const nobody = deaf_endpoint(keeper);
  Reactor reactor;
  Attempt attempt(reactor, nobody, seconds(10));
  ASSERT_TRUE(turn_until(reactor, [&] { return attempt.result.has_value(); }));
  EXPECT_EQ(attempt.code(), base::Errc::connection_refused);
  EXPECT_NE(attempt.result->error().detail.find(nobody.to_string()), std::string::npos);
}

TEST(Connect, SaysWhatIsWrongWithAPathThatDoesNotExist) {
  testing::ScratchFolder folder;
  Reactor reactor;
  Attempt attempt(reactor, *Endpoint::parse("unix:" + folder.path() + "/none"), seconds(10));
  ASSERT_TRUE(turn_until(reactor, [&] { return attempt.result.has_value(); }));
  EXPECT_EQ(attempt.code(), base::Errc::io_error);
  EXPECT_NE(attempt.result->error().detail.find("No such file"), std::string::npos);
}

// A listener whose queue is full drops what comes, and the client's kernel would try for two
// minutes.
TEST(Connect, TimesOutWhenNoAnswerComes) {
  auto const listener = testing::listen_on("127.0.0.1:0", {.backlog = 0});
  Reactor reactor;
  Attempt taken(reactor, listener.endpoint(), seconds(10));
  ASSERT_TRUE(turn_until(reactor, [&] { return taken.result.has_value(); }));
  auto const begin = Reactor::clock();
  Attempt attempt(reactor, listener.endpoint(), milliseconds(50));
  ASSERT_TRUE(turn_until(reactor, [&] { return attempt.result.has_value(); }));
  ASSERT_FALSE(*attempt.result);
  EXPECT_EQ(attempt.code(), base::Errc::connect_timeout);
  EXPECT_GE(Reactor::clock() - begin, milliseconds(50));
}

TEST(Connect, WaitsForRoomInTheQueueOfAUnixListener) {
  testing::ScratchFolder folder;
  auto const listener = testing::listen_on("unix:" + folder.path() + "/socket", {.backlog = 0});
  Reactor reactor;
  Attempt first(reactor, listener.endpoint(), seconds(20));
  ASSERT_TRUE(turn_until(reactor, [&] { return first.result.has_value(); }));
  Attempt late(reactor, listener.endpoint(), milliseconds(1)),
      patient(reactor, listener.endpoint(), seconds(20));
  ASSERT_TRUE(turn_until(reactor, [&] { return late.result.has_value(); }));
  EXPECT_EQ(late.code(), base::Errc::connect_timeout);
  testing::Descriptor const accepted(
      ::accept4(listener.descriptor(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(turn_until(reactor, [&] { return patient.result.has_value(); }));
  EXPECT_TRUE(*patient.result) << patient.result->error().message();
}

TEST(Connect, UnderWayWhenItsReactorEndsIsForgotten) {
  auto const listener = testing::listen_on("127.0.0.1:0", {.backlog = 0});
  auto token = std::make_shared<int>(0);  // shared with the callback, to see it go
  bool called = false;
  {
    Reactor reactor;
    for (int i = 0; i < 3; ++i)
      connect_socket(reactor, listener.endpoint(), Reactor::clock() + seconds(100),
                     [&called, token](base::Result<int> r) {
                       called = true;
                       if (r) ::close(*r);
                     });
  }
  EXPECT_FALSE(called);
  EXPECT_EQ(token.use_count(), 1);
}

TEST(Connect, SaysWhenDescriptorsHaveRunOut) {
  auto const listener = testing::listen_on("127.0.0.1:0");
  Reactor reactor;
  std::optional<Attempt> attempt;
  {
    testing::NoMoreDescriptors const full;
    attempt.emplace(reactor, listener.endpoint(), seconds(10));
  }
  ASSERT_TRUE(turn_until(reactor, [&] { return attempt->result.has_value(); }));
  EXPECT_EQ(attempt->code(), base::Errc::out_of_descriptors);
}

}  // namespace
}  // namespace millrace::net
