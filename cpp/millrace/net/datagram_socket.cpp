#include "millrace/net/datagram_socket.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "millrace/net/receive_queue.hpp"
#include "millrace/net/system_error.hpp"

namespace millrace::net {
namespace {

template <class Value>
bool get_option(int descriptor, int level, int option, Value& value) {
  socklen_t size = sizeof value;
  return ::getsockopt(descriptor, level, option, &value, &size) == 0;
}

base::Error refused(const Endpoint& at, const char* why) {
  return {base::Errc::invalid_option, {}, at.to_string() + ": " + why};
}

base::Result<int> make_socket(const Endpoint& at) {
  int const made = ::socket(at.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made < 0) return system_error(errno, "cannot open a socket for " + at.to_string());
  return made;
}

// What cannot be used is refused before anything of it is changed.
base::Result<int> take_over(const Endpoint& at) {
  int type = 0, family = 0;
  if (!get_option(at.inherited, SOL_SOCKET, SO_TYPE, type) ||
      !get_option(at.inherited, SOL_SOCKET, SO_DOMAIN, family))
    return refused(at, "this process has no such socket; its parent has to leave it inheritable");
  if (type != SOCK_DGRAM || (family != AF_INET && family != AF_INET6))
    return refused(at, "this socket is not UDP");
  int const flags = ::fcntl(at.inherited, F_GETFL);
  int const mine = ::fcntl(at.inherited, F_DUPFD_CLOEXEC, 0);
  if (mine < 0 || ::fcntl(mine, F_SETFL, flags | O_NONBLOCK) < 0 ||
      ::fcntl(at.inherited, F_SETFD, FD_CLOEXEC) < 0)
    return system_error(errno, "cannot take over " + at.to_string());
  return mine;
}

}  // namespace

// ----------------------------------------------------------------------------------------------
// opening

base::Result<std::unique_ptr<DatagramSocket>> DatagramSocket::open(const Endpoint& at,
                                                                   const DatagramOptions& options) {
  if (at.is_unix()) return refused(at, "UDP needs an address and a port, as in '127.0.0.1:0'");
  if (options.reuse_port && options.socket.reuse_port == 0)
    return refused(at, "a socket per loop needs reuse_port; leave it out, or use another pattern");
  auto descriptor = at.is_inherited() ? take_over(at) : make_socket(at);
  if (!descriptor) return descriptor.take_error();
  std::unique_ptr<DatagramSocket> socket(new DatagramSocket(*descriptor, options));
  if (at.is_inherited()) {
    socket->adopt();
  } else if (auto bound = socket->bind(at); !bound) {
    return bound;
  }
  if (auto learned = socket->learn(); !learned) return learned;
  return socket;
}

DatagramSocket::DatagramSocket(int descriptor, const DatagramOptions& options)
    : descriptor_(descriptor),
      options_(options),
      socket_options_(options_of_socket(options.socket, options.index)),
      reader_(options.datagram_bytes),
      sender_(options.batch, prepare_for_batches(descriptor)) {
  if (!options.counts_losses) reader_.count_losses_from({});
}

base::Status DatagramSocket::bind(const Endpoint& at) {
  if (options_.reuse_port) socket_options_.reuse_port = 1;
  set_options(SocketMoment::before_bind, at.family());
  set_options(SocketMoment::datagram, at.family());
  if (::bind(descriptor_, at.address(), at.size) < 0)
    return system_error(errno, "cannot bind " + at.to_string());
  return {};
}

void DatagramSocket::adopt() {
  // Whoever bound it has decided; our default is not a wish to report about.
  if (socket_options_.v6_only == SocketOptions{}.v6_only) socket_options_.v6_only.reset();
  int family = AF_INET;
  get_option(descriptor_, SOL_SOCKET, SO_DOMAIN, family);
  set_options(SocketMoment::datagram, family);
  if (options_.counts_losses)
    reader_.count_losses_from(receive_queue(descriptor_).value_or(ReceiveQueue{}).drops);
}

void DatagramSocket::set_options(SocketMoment moment, int family) {
  auto refused = set_socket_options(descriptor_, family, socket_options_, moment);
  refused_.insert(refused_.end(), refused.begin(), refused.end());
}

base::Status DatagramSocket::learn() {
  endpoint_.size = sizeof endpoint_.storage;
  if (::getsockname(descriptor_, endpoint_.address(), &endpoint_.size) < 0)
    return system_error(errno, "cannot learn where a socket is bound");
  outcomes_ = read_socket_options(descriptor_, endpoint_.family(), socket_options_, refused_);
  return {};
}

int DatagramSocket::release() { return std::exchange(descriptor_, -1); }

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
  if (descriptor_ >= 0) ::close(descriptor_);
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
