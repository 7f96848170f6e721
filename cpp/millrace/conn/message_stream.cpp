#include "millrace/conn/message_stream.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "millrace/conn/failure_counts.hpp"

namespace millrace::conn {

using base::ByteView;
using base::Errc;
using base::Error;
using base::Time;

namespace {

// Writes in a row for one connection while others wait; 16 high-water marks are about 1 MB.
constexpr int rounds_per_turn = 16;

}  // namespace

MessageStream::MessageStream(net::Reactor& reactor, std::unique_ptr<net::Stream> stream,
                             MessageSink& sink, const MessageStreamOptions& options)
    : reactor_(reactor),
      stream_(std::move(stream)),
      sink_(sink),
      options_(options),
      splitter_(options.framing) {
  timer_.stream = this;
  timer_.fire = [](net::WheelEntry& entry, Time now) {
    static_cast<Timer&>(entry).stream->on_timer(now);
  };
}

MessageStream::~MessageStream() {
  if (!closed_) reactor_.wheel().disarm(timer_);
}

void MessageStream::start() {
  last_traffic_ = reactor_.now();
  stream_->start(*this);
  if (!closed_) arm_timer();
}

// ----------------------------------------------------------------------------------------------
// messages in

void MessageStream::on_bytes(ByteView bytes, Time ready, Time) {
  if (closed_) return;
  if (refused_) {  // behind a refusal nothing is told
    lingered_ += bytes.size();
    if (lingering_ && lingered_ > options_.linger_bytes) close(refused_.get());
    return;
  }
  last_traffic_ = ready;
  Hold const hold(*this);
  deliver(bytes);
}

void MessageStream::deliver(ByteView bytes) {
  if (is_telling_) return;  // resumed from within: the caller goes on
  is_telling_ = true;
  tell_all(bytes);
  is_telling_ = false;
  auto& counters = reactor_.counters();
  if (auto const copied = splitter_.copied_bytes(); copied != copied_counted_)
    counters.bytes_copied.add(copied - std::exchange(copied_counted_, copied));
  if (closed_ || refused_ || bytes.empty()) return;
  counters.bytes_copied.add(bytes.size());
  pending_ = std::string(bytes);  // `bytes` may view what was pending before
  set_reading(false);
}

void MessageStream::tell_all(ByteView& bytes) {
  while (may_deliver()) {
    auto message = splitter_.next(bytes);
    if (!message) return refuse(message.take_error());
    if (!*message) return;
    reactor_.counters().messages_in.add();
    ++messages_;
    sink_.on_message(**message);
  }
}

void MessageStream::deliver_pending() {
  auto const bytes = std::exchange(pending_, {});
  deliver(bytes);
  if (!closed_ && pending_.empty() && !paused_) set_reading(true);
}

void MessageStream::set_reading(bool wanted) {
  if (is_reading_ == wanted) return;
  is_reading_ = wanted;
  wanted ? stream_->resume_reading() : stream_->pause_reading();
}

void MessageStream::pause() {
  paused_ = true;
  if (!closed_ && !lingering_) set_reading(false);
}

void MessageStream::resume() {
  if (has_ended_ || !std::exchange(paused_, false) || closed_ || is_telling_) return;
  Hold const hold(*this);  // settle() goes on reading
}

void MessageStream::stop_reading() {
  if (lingering_) return close(refused_.get());
  pause();
  has_ended_ = true;
  pending_.clear();
}

void MessageStream::on_eof(Time) {
  // While nothing is read bytes may still be waiting, and the end is told again behind them.
  if (closed_ || !is_reading_ || has_ended_) return;
  if (lingering_) return close(refused_.get());
  Hold const hold(*this);
  has_ended_ = true;
  if (refused_) return;
  if (auto ended = splitter_.end(); !ended) return refuse(ended.take_error());
  sink_.on_end();
}

void MessageStream::on_error(Error error, Time) { close(&error); }

// What was refused is said to the peer by the end of our side, behind what it is owed. Until then
// nothing is read, so that it cannot send without a bound.
void MessageStream::refuse(Error error) {
  count_failure(reactor_.counters(), error.code);
  refused_ = std::make_unique<Error>(std::move(error));
  set_reading(false);
  sink_.on_refused(*refused_);
}

// ----------------------------------------------------------------------------------------------
// messages out

base::Status MessageStream::send(base::Bytes message) {
  if (closed_ || lingering_) return base::failure(Errc::connection_closed);
  if (ending_ != Ending::open)
    return base::failure(Errc::wrong_state, {}, "this side of the connection has been ended");
  Hold const hold(*this);
  auto appended = framing::append(options_.framing, std::move(message), out_);
  if (!appended) return appended;
  reactor_.counters().messages_out.add();
  if (!has_room()) was_above_ = true;
  return {};
}

void MessageStream::finish() {
  if (closed_ || ending_ != Ending::open) return;
  Hold const hold(*this);
  ending_ = Ending::half;
}

void MessageStream::close_when_written() {
  if (closed_) return;
  Hold const hold(*this);
  ending_ = Ending::both;
}

// Writes, and tells what had to wait for room, until the kernel takes no more or nothing is left.
void MessageStream::settle() {
  if (lingering_) return;
  for (int round = 0; !closed_; ++round) {
    if (round == rounds_per_turn) {
      stream_->request_writable();
      break;
    }
    if (!out_.empty() && !is_blocked_) write_out();
    if (closed_) return;
    if (!out_.empty() && !is_blocked_) continue;  // being told of room, somebody has sent more
    if (out_.empty()) end_when_written();
    bool const may_read_on = !is_reading_ && !paused_ && !refused_ && !was_above_;
    if (closed_ || !may_read_on) break;
    deliver_pending();
  }
  if (!closed_) arm_timer();
}

void MessageStream::write_out() {
  auto const waiting = out_.size();
  auto written = stream_->write(out_);
  if (!written) return close(&written.error());
  is_blocked_ = !out_.empty();
  if (!is_blocked_) {
    write_stuck_since_ = 0;
  } else if (out_.size() < waiting || write_stuck_since_ == 0) {
    write_stuck_since_ = reactor_.now();
  }
  last_traffic_ = reactor_.now();
  if (was_above_ && out_.size() <= options_.low_water_bytes) {
    was_above_ = false;
    sink_.on_room();
  }
}

void MessageStream::on_writable(Time) {
  if (closed_) return;
  Hold const hold(*this);
  is_blocked_ = false;
}

void MessageStream::end_when_written() {
  if (refused_ && ending_ != Ending::open) return begin_lingering();
  if (ending_ == Ending::both) return close();
  if (ending_ != Ending::half) return;
  if (has_ended_) return close();
  if (!std::exchange(has_sent_end_, true)) stream_->end_writing();
}

// Closing over unread bytes is a reset, which would destroy what was just written.
void MessageStream::begin_lingering() {
  if (has_ended_) return close(refused_.get());
  lingering_ = true;
  linger_until_ = reactor_.now() + options_.linger_timeout;
  pending_.clear();
  if (!std::exchange(has_sent_end_, true)) stream_->end_writing();
  set_reading(true);
}

// ----------------------------------------------------------------------------------------------
// ends

void MessageStream::close(const Error* why) {
  if (std::exchange(closed_, true)) return;
  auto const kept = std::move(refused_);  // what `why` may point to
  reactor_.wheel().disarm(timer_);
  stream_->close();
  out_.clear();
  pending_.clear();
  sink_.on_closed(why);
}

void MessageStream::abort(const Error& why) {
  if (closed_) return;
  stream_->abort();
  close(&why);
}

void MessageStream::arm_timer() {
  if (lingering_) return reactor_.wheel().arm(timer_, linger_until_);
  auto deadline = std::numeric_limits<Time>::max();
  if (options_.idle_timeout > 0) deadline = last_traffic_ + options_.idle_timeout;
  if (write_stuck_since_ != 0)
    deadline = std::min(deadline, write_stuck_since_ + options_.write_timeout);
  if (deadline != std::numeric_limits<Time>::max()) reactor_.wheel().arm(timer_, deadline);
}

void MessageStream::on_timer(Time now) {
  if (closed_) return;
  if (lingering_) return close(refused_.get());
  if (write_stuck_since_ != 0 && now >= write_stuck_since_ + options_.write_timeout) {
    count_failure(reactor_.counters(), Errc::write_timeout);
    return abort(Error{Errc::write_timeout, {}, {}});
  }
  if (options_.idle_timeout > 0 && now >= last_traffic_ + options_.idle_timeout) {
    count_failure(reactor_.counters(), Errc::idle_timeout);
    return abort(Error{Errc::idle_timeout, {}, {}});
  }
  arm_timer();
}

}  // namespace millrace::conn
