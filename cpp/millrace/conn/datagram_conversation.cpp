#include "millrace/conn/datagram_conversation.hpp"

#include <algorithm>
#include <utility>

namespace millrace::conn {

using base::ByteView;
using base::Errc;
using base::Error;

namespace {

// The inbox is given back when it has grown beyond this.
constexpr std::size_t kept_bytes = 256 * 1024;

}  // namespace

DatagramConversation::DatagramConversation(net::Reactor& reactor,
                                           std::unique_ptr<net::ConnectedDatagramSocket> socket,
                                           const DatagramConversationOptions& options,
                                           OnClosed on_closed)
    : reactor_(reactor),
      unread_datagrams_(options.unread_datagrams),
      socket_(std::move(socket)),
      on_closed_(std::move(on_closed)) {}

base::Status DatagramConversation::begin(net::DatagramBuffers& buffers) {
  return socket_->start(reactor_, buffers, *this);
}

// ----------------------------------------------------------------------------------------------
// reading

void DatagramConversation::on_datagram(ByteView datagram) {
  Locked const locked(lock_);
  if (sizes_.size() >= unread_datagrams_) {
    socket_->received().datagrams_dropped.add();
    return;
  }
  inbox_.append(datagram);
  sizes_.push_back(datagram.size());
}

void DatagramConversation::on_refused(const Error& why) {
  Locked const locked(lock_);
  refusal_ = why;
}

void DatagramConversation::on_news() {
  Locked locked(lock_);
  tell(locked);
}

base::Result<DatagramConversation::Taken> DatagramConversation::take(std::size_t most) {
  Locked const locked(lock_);
  if (closed_) return Error{Errc::connection_closed, {}, {}};
  auto const count = std::min(most, sizes_.size());
  if (count == 0 && refusal_) return *std::exchange(refusal_, {});
  if (count == 0) wants_news_ = true;
  Taken taken;
  auto const end = sizes_.begin() + static_cast<std::ptrdiff_t>(count);
  taken.sizes.assign(sizes_.begin(), end);
  sizes_.erase(sizes_.begin(), end);
  std::size_t bytes = 0;
  for (auto const size : taken.sizes) bytes += size;
  taken.bytes.assign(inbox_, inbox_at_, bytes);
  inbox_at_ += bytes;
  // What was taken goes when it is half of all, so that each byte is moved once.
  if (inbox_at_ * 2 >= inbox_.size()) inbox_.erase(0, std::exchange(inbox_at_, 0));
  if (inbox_.empty() && inbox_.capacity() > kept_bytes) std::string().swap(inbox_);
  return taken;
}

// ----------------------------------------------------------------------------------------------
// writing

base::Result<std::size_t> DatagramConversation::send(std::span<const ByteView> datagrams) {
  {
    Locked const locked(lock_);
    if (refusal_) return *std::exchange(refusal_, {});
  }
  auto sent = socket_->send(datagrams);
  if (!sent || *sent == datagrams.size()) return sent;
  Locked const locked(lock_);
  wants_news_ = true;
  if (!closed_) reactor_.post([self = shared_from_this()] { self->socket_->tell_of_room(); });
  return sent;
}

// ----------------------------------------------------------------------------------------------
// the end

// While it is not closed there is a loop to post to.
void DatagramConversation::close() {
  Locked const locked(lock_);
  if (std::exchange(closed_, true)) return;
  reactor_.post([self = shared_from_this()] { self->end(); });
}

void DatagramConversation::end() {
  socket_->close();
  Locked locked(lock_);
  closed_ = true;
  wants_news_ = true;
  tell(locked);
  if (!locked) locked.lock();
  auto const watcher = forget_watcher(locked);
  locked.unlock();
  if (auto const on_closed = std::exchange(on_closed_, nullptr)) on_closed(shared_from_this());
}

}  // namespace millrace::conn
