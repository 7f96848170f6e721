#include "millrace/net/datagram_socket.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "millrace/net/system_error.hpp"

namespace millrace::net {
namespace {

// What the kernel joins at most for one read (UDP_GRO), and the most of any datagram.
constexpr std::size_t most_at_once = 65'535;
// Of a group that is sent as one message (UDP_SEGMENT): the kernel's limits, and a datagram that
// fits an Ethernet frame over IPv6, because the kernel does not fragment groups.
constexpr std::size_t most_of_group = 64;
constexpr std::size_t most_group_bytes = 65'507;
constexpr std::size_t most_grouped_bytes = 1500 - 40 - 8;

constexpr std::size_t control_bytes = CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(std::uint32_t));

bool set_option(int descriptor, int level, int option, int value) {
  return ::setsockopt(descriptor, level, option, &value, sizeof value) == 0;
}

template <class Value>
Value value_of(const cmsghdr& control) {
  Value value;
  std::memcpy(&value, CMSG_DATA(&control), sizeof value);
  return value;
}

bool is_same(const Endpoint& one, const Endpoint& other) {
  return one.size == other.size && std::memcmp(&one.storage, &other.storage, one.size) == 0;
}

struct alignas(cmsghdr) Control {
  char bytes[control_bytes];
};

}  // namespace

struct DatagramBuffers::Slots {
  explicit Slots(std::size_t batch)
      : from(batch),
        pieces(batch),
        controls(batch),
        messages(batch),
        // Not touched before the kernel does: what is not needed takes no memory.
        bytes(new char[batch * most_at_once]) {
    for (std::size_t i = 0; i < batch; ++i) {
      pieces[i] = {bytes.get() + i * most_at_once, most_at_once};
      auto& header = messages[i].msg_hdr;
      header.msg_name = from[i].address();
      header.msg_iov = &pieces[i];
      header.msg_iovlen = 1;
      header.msg_control = controls[i].bytes;
    }
  }
  std::vector<Endpoint> from;
  std::vector<iovec> pieces;
  std::vector<Control> controls;
  std::vector<mmsghdr> messages;
  std::unique_ptr<char[]> bytes;
};

DatagramBuffers::DatagramBuffers(const DatagramOptions& options)
    : slots_(std::make_unique<Slots>(options.batch)) {}
DatagramBuffers::~DatagramBuffers() = default;

struct DatagramSocket::Outgoing {
  explicit Outgoing(std::size_t batch)
      : pieces(batch), controls(batch), messages(batch), groups(batch) {}
  std::vector<iovec> pieces;
  std::vector<Control> controls;
  std::vector<mmsghdr> messages;
  std::vector<std::size_t> groups;  // datagrams of each message
};

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
      outgoing_(std::make_unique<Outgoing>(options.batch)) {}

base::Status DatagramSocket::bind(const Endpoint& at) {
  auto const what = "cannot bind " + at.to_string();
  if (at.family() == AF_INET6) set_option(descriptor_, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (options_.reuse_port && !set_option(descriptor_, SOL_SOCKET, SO_REUSEPORT, 1))
    return system_error(errno, what);
  if (options_.receive_buffer)
    set_option(descriptor_, SOL_SOCKET, SO_RCVBUF, *options_.receive_buffer);
  if (options_.send_buffer) set_option(descriptor_, SOL_SOCKET, SO_SNDBUF, *options_.send_buffer);
  // Where the kernel lacks one of these (4.18, 5.0) it works without.
  set_option(descriptor_, SOL_SOCKET, SO_RXQ_OVFL, 1);
  set_option(descriptor_, SOL_UDP, UDP_GRO, 1);
  can_group_ = set_option(descriptor_, SOL_UDP, UDP_SEGMENT, 0);
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

// ----------------------------------------------------------------------------------------------
// reading

// Once per turn: what is left is named by the next wait, and other sockets come in between.
void DatagramSocket::read() {
  auto& slots = *buffers_->slots_;
  for (std::size_t i = 0; i < slots.messages.size(); ++i) {
    slots.messages[i].msg_hdr.msg_namelen = sizeof slots.from[i].storage;
    slots.messages[i].msg_hdr.msg_controllen = control_bytes;
  }
  auto& counters = reactor_->counters();
  counters.reads.add();
  int const count = ::recvmmsg(descriptor_, slots.messages.data(),
                               static_cast<unsigned>(slots.messages.size()), MSG_DONTWAIT, nullptr);
  if (count < 0) {
    if (errno == EAGAIN) counters.reads_blocked.add();
    return;  // an error that an earlier datagram left is told once
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    auto& header = slots.messages[i].msg_hdr;
    base::ByteView const bytes(static_cast<const char*>(slots.pieces[i].iov_base),
                               slots.messages[i].msg_len);
    slots.from[i].size = header.msg_namelen;
    std::size_t segment = bytes.size();
    for (auto* c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
        segment = static_cast<std::size_t>(value_of<int>(*c));
      if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
        note_losses(value_of<std::uint32_t>(*c));
    }
    hand_on(bytes, segment, (header.msg_flags & MSG_TRUNC) != 0, slots.from[i]);
  }
}

void DatagramSocket::hand_on(base::ByteView bytes, std::size_t segment, bool is_cut,
                             const Endpoint& from) {
  auto& counters = reactor_->counters();
  counters.bytes_in.add(bytes.size());
  if (segment < bytes.size()) counters.datagrams_joined.add((bytes.size() + segment - 1) / segment);
  do {
    auto const datagram = bytes.substr(0, segment);
    bytes.remove_prefix(datagram.size());
    if (is_cut || datagram.size() > options_.datagram_bytes) {
      counters.datagrams_too_large.add();
    } else {
      counters.messages_in.add();
      on_datagram_(*this, datagram, from);
    }
  } while (!bytes.empty());
}

// The kernel counts from the socket's beginning, modulo 2^32.
void DatagramSocket::note_losses(std::uint32_t losses_so_far) {
  reactor_->counters().datagrams_lost.add(losses_so_far - losses_);
  losses_ = losses_so_far;
}

// ----------------------------------------------------------------------------------------------
// sending

void DatagramSocket::send(const Endpoint& to, base::ByteView datagram) {
  if (unsent() >= options_.unsent_datagrams) flush();
  if (unsent() >= options_.unsent_datagrams) {
    reactor_->counters().datagrams_dropped.add();
    return;
  }
  unsent_.push_back({to, bytes_.size(), datagram.size()});
  bytes_.append(datagram);
}

// Equal sizes to one peer, of which the last may be smaller: udp(7), UDP_SEGMENT.
std::size_t DatagramSocket::group_at(std::size_t index) const {
  auto const& first = unsent_[index];
  if (!can_group_ || index < single_until_ || first.size == 0 || first.size > most_grouped_bytes)
    return 1;
  auto const most =
      std::min({most_of_group, most_group_bytes / first.size, unsent_.size() - index});
  std::size_t count = 1;
  for (; count < most; ++count) {
    auto const& next = unsent_[index + count];
    if (next.size == 0 || next.size > first.size || !is_same(first.to, next.to)) break;
    if (next.size < first.size) return count + 1;
  }
  return count;
}

std::size_t DatagramSocket::prepare() {
  auto& out = *outgoing_;
  std::size_t messages = 0;
  for (auto at = first_; at < unsent_.size() && messages < out.messages.size(); ++messages) {
    auto& first = unsent_[at];
    auto const group = group_at(at);
    auto const& last = unsent_[at + group - 1];
    out.groups[messages] = group;
    out.pieces[messages] = {bytes_.data() + first.begin, last.begin + last.size - first.begin};
    auto& header = out.messages[messages].msg_hdr;
    header = {};
    header.msg_name = first.to.address();
    header.msg_namelen = first.to.size;
    header.msg_iov = &out.pieces[messages];
    header.msg_iovlen = 1;
    if (group > 1) {
      header.msg_control = out.controls[messages].bytes;
      header.msg_controllen = CMSG_SPACE(sizeof(std::uint16_t));
      auto* const control = CMSG_FIRSTHDR(&header);
      control->cmsg_level = SOL_UDP;
      control->cmsg_type = UDP_SEGMENT;
      control->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
      auto const size = static_cast<std::uint16_t>(first.size);
      std::memcpy(CMSG_DATA(control), &size, sizeof size);
    }
    at += group;
  }
  return messages;
}

void DatagramSocket::flush() {
  if (is_blocked_) return;
  auto& counters = reactor_->counters();
  while (unsent() > 0) {
    auto const messages = prepare();
    int const count = ::sendmmsg(descriptor_, outgoing_->messages.data(),
                                 static_cast<unsigned>(messages), MSG_DONTWAIT | MSG_NOSIGNAL);
    counters.writes.add();
    if (count >= 0) {
      if (static_cast<std::size_t>(count) < messages) counters.partial_writes.add();
      sent(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      counters.writes_blocked.add();
      return wait_for_room();
    } else if (errno != EINTR) {
      failed();
    }
  }
  bytes_.clear();
  unsent_.clear();
  first_ = single_until_ = 0;
}

void DatagramSocket::sent(std::size_t messages) {
  auto& counters = reactor_->counters();
  for (std::size_t i = 0; i < messages; ++i) {
    auto const group = outgoing_->groups[i];
    counters.messages_out.add(group);
    counters.bytes_out.add(outgoing_->pieces[i].iov_len);
    if (group > 1) counters.datagrams_joined.add(group);
    first_ += group;
  }
}

// The first message was refused: a group is tried again one by one, a datagram is given up.
void DatagramSocket::failed() {
  auto const group = outgoing_->groups.front();
  if (group > 1) {
    single_until_ = first_ + group;
    return;
  }
  reactor_->counters().datagrams_dropped.add();
  ++first_;
}

void DatagramSocket::wait_for_room() {
  auto const gone = unsent_[first_].begin;
  bytes_.erase(0, gone);
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(first_));
  for (auto& one : unsent_) one.begin -= gone;
  single_until_ -= std::min(single_until_, first_);
  first_ = 0;
  is_blocked_ = true;
  watch();
}

}  // namespace millrace::net
