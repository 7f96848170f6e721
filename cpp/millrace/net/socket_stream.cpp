// A stream over a connected socket, watched level-triggered.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>

#include "millrace/base/read_piece.hpp"
#include "millrace/net/file.hpp"
#include "millrace/net/stream.hpp"
#include "millrace/net/system_error.hpp"

namespace millrace::net {
namespace {

// Segments per write. A response is one or two; what is longer goes on with the next call.
constexpr std::size_t segments_per_write = 64;

void acknowledge_quickly(int descriptor) {
  int const on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

// Bytes of files per write, and so per turn of the loop: what is not in the page cache is read from
// the disk meanwhile, and a quick reader would keep the loop from its other connections. Half of it
// costs a ninth more of CPU for a file of 10 MB, twice as much saves nothing: a socket seldom takes
// more.
constexpr std::size_t file_bytes_per_write = 2 * 1024 * 1024;

// sendfile has no MSG_NOSIGNAL, and a program may want to be ended by SIGPIPE when its own output
// breaks off; a client that leaves must not do that. The signal may come along with a count:
// sendfile goes in rounds, and tells what went before the one that failed.
ssize_t send_file_quietly(int to, int from, off_t offset, std::size_t count) {
  sigset_t pipe, before;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
  auto const sent = ::sendfile(to, from, &offset, count);
  int const error = errno;
  constexpr timespec at_once{};
  if (sent < static_cast<ssize_t>(count)) ::sigtimedwait(&pipe, nullptr, &at_once);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return sent;
}

class SocketStream final : public Stream, private Readiness {
 public:
  SocketStream(Reactor& reactor, int descriptor, const Endpoint& peer, SocketStreamOptions options)
      : reactor_(reactor), descriptor_(descriptor), options_(options), peer_(peer) {}
  ~SocketStream() override { close(); }

  void start(ReadSink& sink) override;
  base::Status write(base::ByteChain& chain) override;
  void request_writable() override { want_write(true); }
  void pause_reading() override;
  void resume_reading() override;
  void end_writing() override;
  void close() override;
  void abort() override;
  const Endpoint& peer() const override { return peer_; }
  int descriptor() const override { return descriptor_; }

 private:
  void on_ready(std::uint32_t events) override;
  void read();
  void notice_end(std::uint32_t events);
  void tell_writable();
  ssize_t send_bytes(const base::ByteChain& chain, std::size_t& asked);
  ssize_t send_file(const base::FileSlice& file, std::size_t asked);
  base::Status cut_short(const base::FileSlice& file);
  base::Status go_on_later();
  void want_write(bool wanted);
  std::uint32_t wanted_events() const;
  void update_watch();
  void stop_watching();
  void fail(base::Error error);

  Reactor& reactor_;
  ReadSink* sink_ = nullptr;
  int descriptor_;
  std::uint32_t watched_events_ = 0;
  SocketStreamOptions const options_;
  bool is_watched_ = false;
  bool is_paused_ = false;
  bool wants_write_ = false;
  bool has_read_all_ = false;  // recv said 0
  bool knows_end_ = false;     // on_eof has been told, perhaps ahead of unread bytes
  bool has_failed_ = false;
  Endpoint peer_;
};

void SocketStream::start(ReadSink& sink) {
  assert(reactor_.may_touch());
  sink_ = &sink;
  update_watch();
}

// A peer's reset, and its end once we have ended too, are reported whether asked for or not. So a
// descriptor with nothing left to report must leave the epoll set, or it would wake the loop for
// ever.
void SocketStream::on_ready(std::uint32_t events) {
  if ((events & EPOLLOUT) && wants_write_) {
    tell_writable();
    if (descriptor_ < 0 || has_failed_) return;
  }
  if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) return;
  // What was sent before a reset or an end comes out of recv first, then the reset or end itself.
  if (!is_paused_ && !has_read_all_)
    read();
  else
    notice_end(events);
}

void SocketStream::read() {
  auto const buffer = base::ReadPiece::room();
  auto const count = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
  reactor_.counters().reads.add();
  auto const now = reactor_.now();
  if (count > 0) {
    reactor_.counters().bytes_in.add(static_cast<std::uint64_t>(count));
    auto const received = options_.stamp_reads ? Reactor::clock() : 0;
    if (options_.quick_acks && !peer_.is_unix()) acknowledge_quickly(descriptor_);
    sink_->on_bytes({buffer.data(), static_cast<std::size_t>(count)}, now, received);
    return;
  }
  if (count == 0) {
    has_read_all_ = knows_end_ = true;
    sink_->on_eof(now);
    // Most owners have closed by now, which saves this call.
    if (descriptor_ >= 0) update_watch();
    return;
  }
  if (errno == EAGAIN) reactor_.counters().reads_blocked.add();
  if (errno != EAGAIN && errno != EINTR) fail(system_error(errno, "cannot read from the peer"));
}

void SocketStream::notice_end(std::uint32_t events) {
  if (events & EPOLLERR) {
    int number = 0;
    socklen_t size = sizeof number;
    ::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &number, &size);
    fail(system_error(number ? number : ECONNRESET, "the connection failed"));
    return;
  }
  bool const is_news = !knows_end_ && (events & (EPOLLRDHUP | EPOLLHUP));
  if (is_news) knows_end_ = true;
  if (events & EPOLLHUP)
    stop_watching();
  else
    update_watch();
  if (is_news) sink_->on_eof(reactor_.now());
}

void SocketStream::tell_writable() {
  // Still watched for while the owner writes, so that a long body does not switch it off and on
  // again.
  wants_write_ = false;
  sink_->on_writable(reactor_.now());
  if (descriptor_ >= 0) update_watch();
}

base::Status SocketStream::write(base::ByteChain& chain) {
  assert(reactor_.may_touch());
  if (descriptor_ < 0) return base::failure(base::Errc::connection_closed);
  auto& counters = reactor_.counters();
  auto left_of_files = file_bytes_per_write;
  while (!chain.empty()) {
    auto const* const file = chain.file_at(0);
    if (file && left_of_files == 0) return go_on_later();
    std::size_t asked = file ? std::min<std::uint64_t>(file->length, left_of_files) : 0;
    auto const count = file ? send_file(*file, asked) : send_bytes(chain, asked);
    if (count < 0) {
      if (errno == EINTR) continue;
      // EINPROGRESS: a first write that was to go with the SYN, but had no valid cookie; the SYN
      // has gone alone (RFC 7413 3).
      if (errno != EAGAIN && errno != EINPROGRESS)
        return system_error(errno, "cannot write to the peer");
      counters.partial_writes.add();
      counters.writes_blocked.add();
      return go_on_later();
    }
    if (file && count == 0) return cut_short(*file);
    if (file) left_of_files -= static_cast<std::size_t>(count);
    counters.bytes_out.add(static_cast<std::uint64_t>(count));
    chain.consume(static_cast<std::size_t>(count));
    // The kernel is full: asking again would only be told so.
    if (static_cast<std::size_t>(count) < asked) {
      counters.partial_writes.add();
      return go_on_later();
    }
  }
  want_write(false);
  return {};
}

base::Status SocketStream::go_on_later() {
  want_write(true);
  return {};
}

// What stands before the next file. The kernel is told if more follows, so that the end of a head
// and the start of its file share a packet.
ssize_t SocketStream::send_bytes(const base::ByteChain& chain, std::size_t& asked) {
  reactor_.counters().writes.add();
  auto const segments = chain.segments();
  if (segments == 1) {
    auto const bytes = chain.at(0);
    asked = bytes.size();
    return ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  std::array<iovec, segments_per_write> parts;
  std::size_t count = 0;
  for (; count < std::min(segments, parts.size()) && !chain.file_at(count); ++count) {
    auto const bytes = chain.at(count);
    parts[count] = {const_cast<char*>(bytes.data()), bytes.size()};
    asked += bytes.size();
  }
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = count;
  return ::sendmsg(descriptor_, &message, MSG_NOSIGNAL | (count < segments ? MSG_MORE : 0));
}

// 0: the file is over, though its slice is not.
ssize_t SocketStream::send_file(const base::FileSlice& file, std::size_t asked) {
  auto& counters = reactor_.counters();
  auto const offset = static_cast<off_t>(file.offset);
  auto count = send_file_quietly(descriptor_, *file.descriptor, offset, asked);
  counters.sendfiles.add();
  if (count < 0 && errno == EINVAL) {
    // Some file systems cannot hand over their pages: through a buffer, then.
    std::array<char, 16 * 1024> buffer;
    count = ::pread(*file.descriptor, buffer.data(), std::min(asked, buffer.size()), offset);
    if (count <= 0) return count;
    return ::send(descriptor_, buffer.data(), static_cast<std::size_t>(count), MSG_NOSIGNAL);
  }
  if (count > 0) counters.sendfile_bytes.add(static_cast<std::uint64_t>(count));
  return count;
}

base::Status SocketStream::cut_short(const base::FileSlice& file) {
  reactor_.counters().files_cut_short.add();
  return file_is_shorter(file.length);
}

void SocketStream::want_write(bool wanted) {
  if (wants_write_ == wanted) return;
  wants_write_ = wanted;
  update_watch();
}

void SocketStream::pause_reading() {
  is_paused_ = true;
  if (is_watched_) update_watch();
}

void SocketStream::resume_reading() {
  is_paused_ = false;
  if (descriptor_ >= 0) update_watch();
}

void SocketStream::end_writing() {
  if (descriptor_ >= 0) ::shutdown(descriptor_, SHUT_WR);
}

void SocketStream::close() {
  if (descriptor_ < 0) return;
  stop_watching();
  ::close(descriptor_);
  descriptor_ = -1;
}

void SocketStream::abort() {
  if (descriptor_ < 0) return;
  linger const reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close();
}

std::uint32_t SocketStream::wanted_events() const {
  std::uint32_t events = 0;
  if (!is_paused_ && !has_read_all_) events |= EPOLLIN;
  if (!knows_end_) events |= EPOLLRDHUP;
  if (wants_write_) events |= EPOLLOUT;
  return events;
}

// The one place that talks to epoll, and only about changes.
void SocketStream::update_watch() {
  if (!sink_ || has_failed_) return;
  auto const events = wanted_events();
  if (is_watched_) {
    if (events != watched_events_) reactor_.rewatch(descriptor_, events, *this);
    watched_events_ = events;
    return;
  }
  if (knows_end_ && events == 0) return;  // left the set, and nothing new is asked
  if (auto watched = reactor_.watch(descriptor_, events, *this); !watched) {
    fail(watched.take_error());
    return;
  }
  is_watched_ = true;
  watched_events_ = events;
}

void SocketStream::stop_watching() {
  if (!std::exchange(is_watched_, false)) return;
  reactor_.unwatch(descriptor_);
}

void SocketStream::fail(base::Error error) {
  has_failed_ = true;
  stop_watching();
  sink_->on_error(std::move(error), reactor_.now());
}

}  // namespace

std::unique_ptr<Stream> make_socket_stream(Reactor& reactor, int descriptor, const Endpoint& peer,
                                           SocketStreamOptions options) {
  return std::make_unique<SocketStream>(reactor, descriptor, peer, options);
}

}  // namespace millrace::net
