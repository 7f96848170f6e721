#include "millrace/net/datagram_batches.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

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

// What was collected is given back when it has grown beyond this: a batch of datagrams as Ethernet
// carries them stays below it.
constexpr std::size_t kept_bytes = 256 * 1024;

struct alignas(cmsghdr) Control {
  char bytes[control_bytes];
};

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

// Of a group: it is tried again one by one. Other refusals are the peer's or the network's.
bool is_for_its_shape(int number) {
  return number == EINVAL || number == EIO || number == EMSGSIZE;
}

}  // namespace

// From kernel 4.18 and 5.0 on.
bool prepare_for_batches(int descriptor) {
  set_option(descriptor, SOL_SOCKET, SO_RXQ_OVFL, 1);
  set_option(descriptor, SOL_UDP, UDP_GRO, 1);
  return set_option(descriptor, SOL_UDP, UDP_SEGMENT, 0);
}

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
      header.msg_namelen = sizeof from[i].storage;
      header.msg_iov = &pieces[i];
      header.msg_iovlen = 1;
      header.msg_control = controls[i].bytes;
      header.msg_controllen = control_bytes;
    }
  }
  std::vector<Endpoint> from;
  std::vector<iovec> pieces;
  std::vector<Control> controls;
  std::vector<mmsghdr> messages;
  std::unique_ptr<char[]> bytes;
};

DatagramBuffers::DatagramBuffers(std::size_t batch) : slots_(std::make_unique<Slots>(batch)) {}
DatagramBuffers::~DatagramBuffers() = default;

// ----------------------------------------------------------------------------------------------
// reading

namespace {

// The kernel counts from the socket's beginning, modulo 2^32. What was queued before the socket
// came here tells of a time before the count began.
void note_losses(std::optional<std::uint32_t>& losses, std::uint32_t so_far,
                 trace::LoopCounters& counters) {
  if (!losses) return;
  auto const more = static_cast<std::int32_t>(so_far - *losses);
  if (more <= 0) return;
  counters.datagrams_lost.add(static_cast<std::uint64_t>(more));
  losses = so_far;
}

}  // namespace

int DatagramReader::read(int descriptor, DatagramBuffers& buffers, trace::LoopCounters& counters,
                         DatagramSink& sink) {
  auto& slots = *buffers.slots_;
  counters.reads.add();
  int const count = ::recvmmsg(descriptor, slots.messages.data(),
                               static_cast<unsigned>(slots.messages.size()), MSG_DONTWAIT, nullptr);
  if (count < 0) {
    if (errno == EAGAIN) counters.reads_blocked.add();
    return errno;
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    auto& header = slots.messages[i].msg_hdr;
    base::ByteView const bytes(static_cast<const char*>(slots.pieces[i].iov_base),
                               slots.messages[i].msg_len);
    slots.from[i].size = std::exchange(header.msg_namelen, sizeof slots.from[i].storage);
    std::size_t segment = bytes.size();
    for (auto* c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
        segment = static_cast<std::size_t>(value_of<int>(*c));
      if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
        note_losses(losses_, value_of<std::uint32_t>(*c), counters);
    }
    header.msg_controllen = control_bytes;
    bool const is_cut = (header.msg_flags & MSG_TRUNC) != 0;
    hand_on({bytes, segment, is_cut, slots.from[i]}, counters, sink);
  }
  return 0;
}

void DatagramReader::hand_on(const Read& read, trace::LoopCounters& counters,
                             DatagramSink& sink) const {
  auto bytes = read.bytes;
  counters.bytes_in.add(bytes.size());
  if (read.segment < bytes.size())
    counters.datagrams_joined.add((bytes.size() + read.segment - 1) / read.segment);
  do {
    auto const datagram = bytes.substr(0, read.segment);
    bytes.remove_prefix(datagram.size());
    if (read.is_cut || datagram.size() > most_bytes_) {
      counters.datagrams_too_large.add();
    } else {
      counters.messages_in.add();
      sink.on_datagram(datagram, read.from);
    }
  } while (!bytes.empty());
}

// ----------------------------------------------------------------------------------------------
// sending

struct DatagramSender::Messages {
  explicit Messages(std::size_t batch)
      : pieces(batch), controls(batch), headers(batch), groups(batch) {}
  std::vector<iovec> pieces;
  std::vector<Control> controls;
  std::vector<mmsghdr> headers;
  std::vector<std::size_t> groups;  // datagrams of each message
};

DatagramSender::DatagramSender(std::size_t batch, bool can_group)
    : can_group_(can_group), messages_(std::make_unique<Messages>(batch)) {}
DatagramSender::~DatagramSender() = default;

void DatagramSender::add(const Endpoint& to, base::ByteView datagram) {
  unsent_.push_back({to, bytes_.size(), datagram.size()});
  bytes_.append(datagram);
}

int DatagramSender::send(int descriptor, trace::LoopCounters& counters) {
  while (size() > 0) {
    auto const messages = prepare();
    int const count = ::sendmmsg(descriptor, messages_->headers.data(),
                                 static_cast<unsigned>(messages), MSG_DONTWAIT | MSG_NOSIGNAL);
    counters.writes.add();
    if (count >= 0) {
      if (static_cast<std::size_t>(count) < messages) counters.partial_writes.add();
      sent(static_cast<std::size_t>(count), counters);
    } else if (errno == EAGAIN) {
      counters.writes_blocked.add();
      return errno;
    } else if (auto const group = messages_->groups.front(); group > 1 && is_for_its_shape(errno)) {
      single_until_ = first_ + group;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  clear();
  return 0;
}

// Equal sizes to one peer, of which the last may be smaller: udp(7), UDP_SEGMENT.
std::size_t DatagramSender::group_at(std::size_t index) const {
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

std::size_t DatagramSender::prepare() {
  auto& out = *messages_;
  std::size_t messages = 0;
  for (auto at = first_; at < unsent_.size() && messages < out.headers.size(); ++messages) {
    auto& first = unsent_[at];
    auto const group = group_at(at);
    auto const& last = unsent_[at + group - 1];
    out.groups[messages] = group;
    out.pieces[messages] = {bytes_.data() + first.begin, last.begin + last.size - first.begin};
    auto& header = out.headers[messages].msg_hdr;
    header = {};
    header.msg_name = first.to.size > 0 ? first.to.address() : nullptr;
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

void DatagramSender::sent(std::size_t messages, trace::LoopCounters& counters) {
  for (std::size_t i = 0; i < messages; ++i) {
    auto const group = messages_->groups[i];
    counters.messages_out.add(group);
    counters.bytes_out.add(messages_->pieces[i].iov_len);
    if (group > 1) counters.datagrams_joined.add(group);
    first_ += group;
  }
}

void DatagramSender::clear() {
  if (bytes_.capacity() > kept_bytes) std::string().swap(bytes_);
  bytes_.clear();
  unsent_.clear();
  first_ = single_until_ = 0;
}

void DatagramSender::forget_sent() {
  if (size() == 0) return clear();
  auto const gone = unsent_[first_].begin;
  bytes_.erase(0, gone);
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(first_));
  for (auto& one : unsent_) one.begin -= gone;
  single_until_ -= std::min(single_until_, first_);
  first_ = 0;
}

}  // namespace millrace::net
