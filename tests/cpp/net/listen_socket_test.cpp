#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>

#include "net/scratch.hpp"
#include "net/sockets.hpp"

#include "millrace/net/listener.hpp"

namespace millrace::net {
namespace {

using testing::connect_to;
using testing::Descriptor;
using testing::listen_on;

base::Errc code_of_listening_on(const std::string& address,
                                const ListenSocket::Options& options = {}) {
  auto const socket = ListenSocket::open(*Endpoint::parse(address), options);
  EXPECT_FALSE(socket);
  if (socket) return base::Errc::count_;
  EXPECT_NE(socket.error().detail.find(address), std::string::npos) << socket.error().detail;
  return socket.error().code;
}

TEST(ListenSocket, NamesThePortTheKernelChose) {
  auto const socket = listen_on("127.0.0.1:0");
  EXPECT_NE(socket.endpoint().port(), 0);
  connect_to(socket.endpoint());
}

TEST(ListenSocket, ListensOnIPv6Alone) {
  if (auto const probe = testing::Descriptor(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
      probe.get() < 0)
    GTEST_SKIP() << "no IPv6 here";
  auto opened = ListenSocket::open(*Endpoint::parse("[::]:0"), {});
  if (!opened) GTEST_SKIP() << opened.error().message();
  // The same port must still be free on IPv4.
  listen_on("0.0.0.0:" + std::to_string(opened->endpoint().port()));
  auto const loopback = *Endpoint::parse("[::1]:" + std::to_string(opened->endpoint().port()));
  connect_to(loopback);
}

TEST(ListenSocket, AddressThatIsTakenIsAnError) {
  auto const socket = listen_on("127.0.0.1:0");
  EXPECT_EQ(code_of_listening_on(socket.endpoint().to_string()), base::Errc::address_in_use);
}

TEST(ListenSocket, AddressOfAnotherMachineIsAnError) {
  EXPECT_EQ(code_of_listening_on("192.0.2.1:0"), base::Errc::address_not_available);
}

TEST(ListenSocket, ReusedPortTakesSeveralSockets) {
  auto const first = listen_on("127.0.0.1:0", {.reuse_port = true});
  auto const second = listen_on(first.endpoint().to_string(), {.reuse_port = true});
  EXPECT_EQ(first.endpoint().port(), second.endpoint().port());
}

TEST(ListenSocket, MovesAndClosesOnce) {
  auto first = listen_on("127.0.0.1:0");
  int const descriptor = first.descriptor();
  ListenSocket second(std::move(first));
  EXPECT_EQ(second.descriptor(), descriptor);
  ListenSocket third;
  third = std::move(second);
  connect_to(third.endpoint());
  third = ListenSocket();
  EXPECT_LT(::fcntl(descriptor, F_GETFD), 0);
}

TEST(ListenSocket, UnixPathComesAndGoesWithIt) {
  testing::ScratchFolder const folder;
  auto const path = folder.path() + "/socket";
  {
    auto const socket = listen_on("unix:" + path);
    connect_to(socket.endpoint());
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ListenSocket, UnixPathThatNobodyListensOnIsReplaced) {
  testing::ScratchFolder const folder;
  auto const at = *Endpoint::parse("unix:" + folder.path() + "/socket");
  {
    auto const crashed = testing::plain_socket(at);  // leaves its file behind
    ASSERT_EQ(::bind(crashed.get(), at.address(), at.size), 0);
  }
  auto const socket = listen_on(at.to_string());
  connect_to(socket.endpoint());
}

TEST(ListenSocket, UnixPathInUseIsAnErrorAndStaysInUse) {
  testing::ScratchFolder const folder;
  auto const socket = listen_on("unix:" + folder.path() + "/socket");
  EXPECT_EQ(code_of_listening_on(socket.endpoint().to_string()), base::Errc::address_in_use);
  connect_to(socket.endpoint());
}

TEST(ListenSocket, FileThatIsNoSocketIsLeftAlone) {
  testing::ScratchFolder const folder;
  auto const path = folder.path() + "/notes";
  std::ofstream(path) << "precious";
  EXPECT_EQ(code_of_listening_on("unix:" + path), base::Errc::address_in_use);
  EXPECT_EQ(std::filesystem::file_size(path), 8u);
}

TEST(ListenSocket, UnixPathTakenOverByAnotherIsNotUnlinked) {
  testing::ScratchFolder const folder;
  auto const path = folder.path() + "/socket";
  auto first = std::make_unique<ListenSocket>(listen_on("unix:" + path));
  std::filesystem::remove(path);
  auto const second = listen_on("unix:" + path);
  first.reset();
  connect_to(second.endpoint());
}

TEST(ListenSocket, ReusePortOfAUnixPathIsRefused) {
  testing::ScratchFolder const folder;
  EXPECT_EQ(code_of_listening_on("unix:" + folder.path() + "/socket", {.reuse_port = true}),
            base::Errc::invalid_option);
}

std::string inherited(int descriptor) { return "fd://" + std::to_string(descriptor); }

bool is_non_blocking(int descriptor) { return ::fcntl(descriptor, F_GETFL) & O_NONBLOCK; }
bool closes_on_exec(int descriptor) { return ::fcntl(descriptor, F_GETFD) & FD_CLOEXEC; }

TEST(ListenSocket, TakesOverWhatListensAlreadyAndLeavesItOpen) {
  auto const owned = testing::plain_socket(*Endpoint::parse("127.0.0.1:0"));
  ASSERT_EQ(::listen(owned.get(), 5), 0);  // at a port of the kernel's choice
  ASSERT_EQ(::fcntl(owned.get(), F_SETFD, 0), 0);
  for (int round = 0; round < 2; ++round) {
    auto const socket = listen_on(inherited(owned.get()));
    EXPECT_NE(socket.descriptor(), owned.get());
    EXPECT_NE(socket.endpoint().port(), 0);
    EXPECT_TRUE(is_non_blocking(socket.descriptor()));
    EXPECT_TRUE(closes_on_exec(socket.descriptor()));
    EXPECT_TRUE(closes_on_exec(owned.get())) << "no child of ours gets it by accident";
    auto const to = *Endpoint::parse("127.0.0.1:" + std::to_string(socket.endpoint().port()));
    connect_to(to);
    EXPECT_GE(Descriptor(::accept(socket.descriptor(), nullptr, nullptr)).get(), 0);
  }
}

TEST(ListenSocket, UnixPathThatItHasNotMadeStays) {
  testing::ScratchFolder const folder;
  auto const path = folder.path() + "/socket";
  auto const owned = listen_on("unix:" + path);
  EXPECT_EQ(listen_on(inherited(owned.descriptor())).endpoint().to_string(), "unix:" + path);
  connect_to(owned.endpoint());
}

TEST(ListenSocket, ReleasedLeavesDescriptorAndUnixPathToItsNewOwner) {
  testing::ScratchFolder const folder;
  auto socket = listen_on("unix:" + folder.path() + "/socket");
  auto const at = socket.endpoint();
  Descriptor const mine(socket.release());
  socket = ListenSocket();
  connect_to(at);
  EXPECT_GE(Descriptor(::accept(mine.get(), nullptr, nullptr)).get(), 0);
}

TEST(ListenSocket, WhatAPredecessorLeftIsOursWithItsUnixPath) {
  testing::ScratchFolder const folder;
  auto const path = folder.path() + "/socket";
  auto predecessor = listen_on("unix:" + path, {.backlog = 5});
  int const left = ::dup(predecessor.descriptor());  // as another process gets it
  {
    auto socket = listen_on(inherited(left), {.backlog = 7, .takes_over = true});
    EXPECT_EQ(socket.descriptor(), left);
    EXPECT_TRUE(closes_on_exec(left));
    EXPECT_FALSE(socket.is_shared());
    EXPECT_EQ(std::get<std::int64_t>(socket.outcomes().back().asked), 7) << "the backlog";
    predecessor.leave_path();
    predecessor = ListenSocket();
    connect_to(socket.endpoint());
    socket.take_path();
  }
  EXPECT_LT(::fcntl(left, F_GETFD), 0);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ListenSocket, AnUnixPathStaysItsPredecessorSUntilItIsTaken) {
  testing::ScratchFolder const folder;
  auto const predecessor = listen_on("unix:" + folder.path() + "/socket");
  listen_on(inherited(::dup(predecessor.descriptor())), {.takes_over = true});
  connect_to(predecessor.endpoint());
}

TEST(ListenSocket, RefusesToTakeOverWhatIsNoListeningStreamSocket) {
  auto const says = [](int descriptor) {
    auto const socket = ListenSocket::open(*Endpoint::parse(inherited(descriptor)), {});
    EXPECT_FALSE(socket);
    EXPECT_EQ(socket.error().code, base::Errc::invalid_option);
    return socket.error().detail;
  };
  testing::ScratchFolder const folder;
  Descriptor const file(::open(folder.path().c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_NE(says(file.get()).find("is no socket"), std::string::npos);
  Descriptor const datagrams(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_NE(says(datagrams.get()).find("neither TCP nor"), std::string::npos);
  auto const silent = testing::plain_socket(*Endpoint::parse("127.0.0.1:0"));
  EXPECT_NE(says(silent.get()).find("does not listen"), std::string::npos);
  EXPECT_FALSE(is_non_blocking(silent.get())) << "what is refused is left as it was";
  EXPECT_NE(says(1'000'000).find("no such descriptor"), std::string::npos);
}

TEST(ListenSocket, SaysWhenDescriptorsHaveRunOut) {
  testing::NoMoreDescriptors const full;
  EXPECT_EQ(code_of_listening_on("127.0.0.1:0"), base::Errc::out_of_descriptors);
}

}  // namespace
}  // namespace millrace::net
