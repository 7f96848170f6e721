#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>

#include "net/scratch.hpp"
#include "net/sockets.hpp"

#include "millrace/net/listener.hpp"

namespace millrace::net {
namespace {

using testing::connect_to;
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

TEST(ListenSocket, SaysWhenDescriptorsHaveRunOut) {
  testing::NoMoreDescriptors const full;
  EXPECT_EQ(code_of_listening_on("127.0.0.1:0"), base::Errc::out_of_descriptors);
}

}  // namespace
}  // namespace millrace::net
