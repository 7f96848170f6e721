#include "millrace/net/connected_datagram_socket.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "millrace/net/system_error.hpp"

namespace millrace::net {
namespace {

using base::Errc;
using base::Error;

// The length field of RFC 768 has 16 bits.
constexpr std::size_t most_bytes = 65'535;

// ICMP's words for "not there" (RFC 1122 4.1.3.3), and those of our own routes.
bool is_refusal(int number) {
  return number == ECONNREFUSED || number == EHOSTUNREACH || number == ENETUNREACH ||
         number == ENOPROTOOPT || number == EHOSTDOWN;
}

Error error_of(int number, const Endpoint& peer) {
  auto error = system_error(number, "UDP to " + peer.to_string());
  if (is_refusal(number)) error.code = Errc::connection_refused;
  return error;
}

}  // namespace

base::Result<std::unique_ptr<ConnectedDatagramSocket>> ConnectedDatagramSocket::open(
    const Endpoint& to, const SocketOptions& options) {
  if (to.is_unix() || to.is_inherited())
    return Error{Errc::invalid_option,
                 {},
                 to.to_string() + ": UDP needs a host and a port, as in '127.0.0.1:53'"};
  int const descriptor = ::socket(to.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return system_error(errno, "cannot open a socket for " + to.to_string());
  std::unique_ptr<ConnectedDatagramSocket> socket(new ConnectedDatagramSocket(descriptor, to));
  auto asked = options;
  asked.v6_only.reset();  // a bound socket's default, and no wish of anybody's here
  auto const refused = set_socket_options(descriptor, to.family(), asked, SocketMoment::datagram);
  socket->outcomes_ = read_socket_options(descriptor, to.family(), asked, refused);
  if (::connect(descriptor, to.address(), to.size) < 0) return error_of(errno, to);
  return socket;
}

ConnectedDatagramSocket::ConnectedDatagramSocket(int descriptor, const Endpoint& peer)
    : peer_(peer),
      reader_(most_bytes),
      descriptor_(descriptor),
      sender_(default_datagram_batch, prepare_for_batches(descriptor)) {}

ConnectedDatagramSocket::~ConnectedDatagramSocket() { close(); }

base::Status ConnectedDatagramSocket::start(Reactor& reactor, DatagramBuffers& buffers,
                                            Listener& listener) {
  reactor_ = &reactor;
  buffers_ = &buffers;
  listener_ = &listener;
  auto status = reactor.watch(descriptor_, EPOLLIN, *this);
  is_watched_ = static_cast<bool>(status);
  return status;
}

void ConnectedDatagramSocket::tell_of_room() {
  if (is_watched_) reactor_->rewatch(descriptor_, EPOLLIN | EPOLLOUT, *this);
}

void ConnectedDatagramSocket::close() {
  std::lock_guard const locked(sending_);
  if (std::exchange(is_watched_, false)) reactor_->unwatch(descriptor_);
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

void ConnectedDatagramSocket::on_ready(std::uint32_t epoll_events) {
  if (epoll_events & EPOLLOUT) reactor_->rewatch(descriptor_, EPOLLIN, *this);
  if (epoll_events & (EPOLLIN | EPOLLERR)) {
    int const failed = reader_.read(descriptor_, *buffers_, received_, *this);
    if (failed != 0 && failed != EAGAIN && failed != EINTR)
      listener_->on_refused(error_of(failed, peer_));
  }
  listener_->on_news();
}

base::Result<std::size_t> ConnectedDatagramSocket::send(std::span<const base::ByteView> datagrams) {
  std::lock_guard const locked(sending_);
  if (descriptor_ < 0) return Error{Errc::connection_closed, {}, {}};
  for (auto const& datagram : datagrams) sender_.add({}, datagram);
  int const failed = sender_.send(descriptor_, sent_);
  auto const left = sender_.size();
  sender_.clear();
  if (failed == EMSGSIZE)
    return Error{
        Errc::invalid_message, "RFC 768",
        "no datagram has " + std::to_string(datagrams[datagrams.size() - left].size()) + " bytes"};
  if (failed != 0 && failed != EAGAIN) return error_of(failed, peer_);
  return datagrams.size() - left;
}

}  // namespace millrace::net
