// A stream without a kernel: two buffers on one loop, and tasks that carry the news.
#include <algorithm>
#include <array>
#include <cassert>
#include <string>
#include <utility>

#include "millrace/base/read_piece.hpp"
#include "millrace/net/file.hpp"
#include "millrace/net/stream.hpp"

namespace millrace::net {
namespace {

class MemoryEnd;

// What is under way to one end.
struct Direction {
  MemoryEnd* reader = nullptr;  // null once it has closed
  std::string bytes;
  bool has_ended = false;
  bool was_reset = false;
  bool is_scheduled = false;  // a task will look at it
};

struct Pipe {
  Pipe(Reactor& r, std::size_t capacity) : reactor(r), capacity_bytes(capacity) {}
  Reactor& reactor;
  std::size_t capacity_bytes;
  std::array<Direction, 2> to;
};

// Shared by both ends and by the tasks on their way: the last of them frees it.
using SharedPipe = std::shared_ptr<Pipe>;

class MemoryEnd final : public Stream {
 public:
  MemoryEnd(SharedPipe pipe, std::size_t side) : pipe_(std::move(pipe)), side_(side) {
    pipe_->to[side_].reader = this;
    peer_.storage.ss_family = AF_UNIX;  // a peer without a name
    peer_.size = sizeof(sa_family_t);
  }
  ~MemoryEnd() override { close(); }

  void start(ReadSink& sink) override {
    sink_ = &sink;
    schedule(side_);
  }
  base::Status write(base::ByteChain& chain) override;
  void pause_reading() override {
    is_paused_ = true;
    schedule(side_);  // an end that has come already is told at once
  }
  void resume_reading() override {
    is_paused_ = false;
    schedule(side_);
  }
  void request_writable() override {
    wants_write_ = true;
    schedule(side_);
  }
  void end_writing() override {
    outgoing().has_ended = true;
    schedule(1 - side_);
  }
  void close() override;
  void abort() override;
  const Endpoint& peer() const override { return peer_; }

 private:
  Direction& incoming() { return pipe_->to[side_]; }
  Direction& outgoing() { return pipe_->to[1 - side_]; }
  bool is_closed() const { return pipe_->to[side_].reader == nullptr; }
  base::Result<std::size_t> take_some(const base::ByteChain& chain);
  std::size_t room() { return pipe_->capacity_bytes - outgoing().bytes.size(); }
  void schedule(std::size_t side);
  void look();
  void tell_bytes();
  void tell_end();

  SharedPipe pipe_;
  std::size_t side_;
  ReadSink* sink_ = nullptr;
  Endpoint peer_;
  bool is_paused_ = false;
  bool wants_write_ = false;
  bool has_read_all_ = false;
  bool knows_end_ = false;
  bool has_failed_ = false;
};

void MemoryEnd::schedule(std::size_t side) {
  if (std::exchange(pipe_->to[side].is_scheduled, true)) return;
  pipe_->reactor.post([pipe = pipe_, side] {
    pipe->to[side].is_scheduled = false;
    if (auto* const end = pipe->to[side].reader) end->look();
  });
}

// One thing is told at a time, as a socket would; what remains is another task's.
void MemoryEnd::look() {
  if (!sink_ || has_failed_) return;
  auto const now = pipe_->reactor.now();
  if (incoming().was_reset) {
    has_failed_ = true;
    sink_->on_error({base::Errc::connection_reset, {}, "the other end of the pipe was aborted"},
                    now);
    return;
  }
  if (wants_write_ && (room() > 0 || !outgoing().reader)) {
    wants_write_ = false;
    schedule(side_);
    sink_->on_writable(now);
    return;
  }
  if (!incoming().bytes.empty() && !is_paused_)
    tell_bytes();
  else if (incoming().has_ended)
    tell_end();
}

void MemoryEnd::tell_bytes() {
  auto& waiting = incoming().bytes;
  auto const rest = std::min(waiting.size(), base::PiecePool::piece_bytes);
  auto const bytes = std::exchange(waiting, waiting.substr(rest)).substr(0, rest);
  schedule(side_);
  schedule(1 - side_);  // it has room again
  auto const now = pipe_->reactor.now();
  sink_->on_bytes(bytes, now, now);
}

void MemoryEnd::tell_end() {
  bool const is_all = !is_paused_;
  if (has_read_all_ || (knows_end_ && !is_all)) return;
  knows_end_ = true;
  has_read_all_ = is_all;
  sink_->on_eof(pipe_->reactor.now());
}

base::Status MemoryEnd::write(base::ByteChain& chain) {
  if (is_closed() || !outgoing().reader) return base::failure(base::Errc::connection_closed);
  assert(!outgoing().has_ended && "write after end_writing");
  while (!chain.empty() && room() > 0) {
    auto taken = take_some(chain);
    if (!taken) return taken.take_status();
    chain.consume(*taken);
  }
  wants_write_ = !chain.empty();
  schedule(1 - side_);
  return {};
}

base::Result<std::size_t> MemoryEnd::take_some(const base::ByteChain& chain) {
  auto& bytes = outgoing().bytes;
  auto const* const file = chain.file_at(0);
  if (!file) {
    auto const piece = chain.at(0).substr(0, room());
    bytes.append(piece);
    return piece.size();
  }
  std::array<char, 16 * 1024> buffer;
  auto read = read_file(*file, std::span(buffer).first(std::min(room(), buffer.size())));
  if (read) bytes.append(buffer.data(), *read);
  return read;
}

void MemoryEnd::close() {
  if (is_closed()) return;
  incoming().reader = nullptr;
  outgoing().has_ended = true;
  schedule(1 - side_);
}

void MemoryEnd::abort() {
  if (is_closed()) return;
  outgoing().was_reset = true;
  close();
}

}  // namespace

std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> make_memory_pipe(
    Reactor& reactor, std::size_t capacity_bytes) {
  assert(capacity_bytes > 0);
  auto pipe = std::make_shared<Pipe>(reactor, capacity_bytes);  // owners: as SharedPipe says
  return {std::make_unique<MemoryEnd>(pipe, 0), std::make_unique<MemoryEnd>(pipe, 1)};
}

}  // namespace millrace::net
