// Plain blocking sockets: the other side of what is tested.
#pragma once
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "millrace/net/endpoint.hpp"
#include "millrace/net/listener.hpp"

namespace millrace::testing {

class Descriptor {
 public:
  explicit Descriptor(int descriptor = -1) : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Descriptor() { close(); }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

inline net::ListenSocket listen_on(std::string_view address,
                                   const net::ListenSocket::Options& options = {}) {
  auto at = net::Endpoint::parse(address);
  EXPECT_TRUE(at) << address;
  auto socket = net::ListenSocket::open(*at, options);
  EXPECT_TRUE(socket) << socket.error().message();
  return std::move(*socket);
}

inline Descriptor plain_socket(const net::Endpoint& like) {
  return Descriptor(::socket(like.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
}

inline Descriptor connect_to(const net::Endpoint& to) {
  auto socket = plain_socket(to);
  EXPECT_EQ(::connect(socket.get(), to.address(), to.size), 0) << to.to_string();
  return socket;
}

// Our end non-blocking, the peer's blocking.
struct SocketPair {
  Descriptor ours, peers;
};

inline SocketPair tcp_pair() {
  auto const listener = listen_on("127.0.0.1:0");
  SocketPair pair;
  pair.peers = connect_to(listener.endpoint());
  pair.ours =
      Descriptor(::accept4(listener.descriptor(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  EXPECT_GE(pair.ours.get(), 0);
  return pair;
}

inline void send_text(const Descriptor& to, std::string_view text) {
  EXPECT_EQ(::send(to.get(), text.data(), text.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(text.size()));
}

// Blocks until `count` bytes or the end have come.
inline std::string receive_text(const Descriptor& from, std::size_t count) {
  std::string text(count, '\0');
  auto const got = ::recv(from.get(), text.data(), count, MSG_WAITALL);
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return text;
}

inline void reset(Descriptor& socket) {
  linger const at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  socket.close();
}

}  // namespace millrace::testing
