#include "millrace/net/datagram_socket.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "millrace/net/system_error.hpp"

namespace millrace::net {
namespace {

bool set_option(int descriptor, int level, int option, int value) {
  return ::setsockopt(descriptor, level, option, &value, sizeof value) == 0;
}

}  // namespace

// ----------------------------------------------------------------------------------------------
// opening

base::Result<std::unique_ptr<DatagramSocket>> DatagramSocket::open(const Endpoint& at,
                                                                   const DatagramOptions& options) {
  if (at.is_unix() || at.is_inherited())
    return base::Error{base::Errc::invalid_option,
                       {},
                       at.to_string() + ": UDP needs an address and a port, as in '127.0.0.1:0'"};
  int const descriptor = ::socket(at.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return system_error(errno, "cannot open a socket for " + at.to_string());
  std::unique_ptr<DatagramSocket> socket(new DatagramSocket(descriptor, options));
  if (auto bound = socket->bind(at); !bound) return bound;
  return socket;
}

DatagramSocket::DatagramSocket(int descriptor, const DatagramOptions& options)
    : descriptor_(descriptor),
      options_(options),
      reader_(options.datagram_bytes),
      sender_(options.batch, prepare_for_batches(descriptor)) {}

base::Status DatagramSocket::bind(const Endpoint& at) {
  auto const what = "cannot bind " + at.to_string();
  if (at.family() == AF_INET6) set_option(descriptor_, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (options_.reuse_port && !set_option(descriptor_, SOL_SOCKET, SO_REUSEPORT, 1))
    return system_error(errno, what);
  if (options_.receive_buffer)
    set_option(descriptor_, SOL_SOCKET, SO_RCVBUF, *options_.receive_buffer);
  if (options_.send_buffer) set_option(descriptor_, SOL_SOCKET, SO_SNDBUF, *options_.send_buffer);
  if (::bind(descriptor_, at.address(), at.size) < 0) return system_error(errno, what);
  endpoint_.size = sizeof endpoint_.storage;
  if (::getsockname(descriptor_, endpoint_.address(), &endpoint_.size) < 0)
    return system_error(errno, what);
  return {};
}

base::Status DatagramSocket::start(Reactor& reactor, DatagramBuffers& buffers,
                                   OnDatagram on_datagram) {
  buffers_ = &buffers;
  on_datagram_ = std::move(on_datagram);
  if (auto status = reactor.watch(descriptor_, EPOLLIN, *this); !status) return status;
  reactor_ = &reactor;
  is_reading_ = is_watched_ = true;
  return {};
}

void DatagramSocket::stop_reading() {
  if (!is_reading_) return;
  is_reading_ = false;
  watch();
}

DatagramSocket::~DatagramSocket() {
  if (is_watched_) reactor_->unwatch(descriptor_);
  ::close(descriptor_);
}

void DatagramSocket::watch() {
  reactor_->rewatch(descriptor_, (is_reading_ ? EPOLLIN : 0u) | (is_blocked_ ? EPOLLOUT : 0u),
                    *this);
}

void DatagramSocket::on_ready(std::uint32_t epoll_events) {
  if (epoll_events & EPOLLOUT) {
    is_blocked_ = false;
    flush();
    if (!is_blocked_) watch();
  }
  if (is_reading_ && (epoll_events & (EPOLLIN | EPOLLERR))) read();
}

// Once per turn: what is left is named by the next wait, and other sockets come in between.
void DatagramSocket::read() {
  // An error that an earlier datagram left is told once, and is nobody's here.
  (void)reader_.read(descriptor_, *buffers_, reactor_->counters(), *this);
}

void DatagramSocket::send(const Endpoint& to, base::ByteView datagram) {
  if (sender_.size() >= options_.unsent_datagrams) flush();
  if (sender_.size() >= options_.unsent_datagrams) {
    reactor_->counters().datagrams_dropped.add();
    return;
  }
  sender_.add(to, datagram);
}

void DatagramSocket::flush() {
  if (is_blocked_) return;
  while (int const refused = sender_.send(descriptor_, reactor_->counters())) {
    if (refused == EAGAIN) return wait_for_room();
    reactor_->counters().datagrams_dropped.add();
    sender_.drop_first();
  }
}

void DatagramSocket::wait_for_room() {
  sender_.forget_sent();
  is_blocked_ = true;
  watch();
}

}  // namespace millrace::net
