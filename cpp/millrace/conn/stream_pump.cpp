#include "millrace/conn/stream_pump.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "millrace/base/patience.hpp"

namespace millrace::conn {

using base::ByteView;
using base::Errc;
using base::Error;
using base::Time;
using proto::Afterwards;

namespace {

// Writes in a row for one connection while others wait; 16 high-water marks are about 1 MB.
constexpr int rounds_per_turn = 16;

}  // namespace

StreamPump::StreamPump(net::Reactor& reactor, std::unique_ptr<net::Stream> stream,
                       std::unique_ptr<proto::Codec> codec, PumpOwner& owner,
                       const PumpOptions& options)
    : reactor_(reactor),
      stream_(std::move(stream)),
      codec_(std::move(codec)),
      owner_(owner),
      options_(options) {
  timer_.pump = this;
  timer_.fire = [](net::WheelEntry& entry, Time now) {
    static_cast<Timer&>(entry).pump->on_timer(now);
  };
}

StreamPump::~StreamPump() { reactor_.wheel().disarm(timer_); }

void StreamPump::start() {
  stream_->start(*this);
  arm_timer();
}

// ----------------------------------------------------------------------------------------------
// bytes in

void StreamPump::on_bytes(ByteView bytes, Time ready, Time received) {
  if (closed_) return;
  if (lingering_) {
    lingered_ += bytes.size();
    if (lingered_ > options_.linger_bytes) close(failure_.get());
    return;
  }
  Hold const hold(*this);
  if (paused_) {  // a stream may still deliver what it had read before the pause
    pending_.append(bytes);
    return;
  }
  offer(bytes, ready, received);
}

void StreamPump::offer(ByteView bytes, Time ready, Time received) {
  offering_ = true;
  // A peer that sends requests and reads no answers is stopped by its own answers.
  while (!bytes.empty() && has_room()) {
    auto taken = codec_->receive(bytes, ready);
    // An error is final, but what stood before it is not lost: its events come first.
    drain_events(ready, received);
    if (closed_) break;
    if (!taken) {
      fail(taken.take_error());
      break;
    }
    bytes.remove_prefix(*taken);
    if (bytes.empty() || *taken == 0 || codec_->afterwards() != Afterwards::go_on) break;
  }
  offering_ = false;
  if (closed_ || failure_ || bytes.empty()) return;
  pending_.assign(bytes);
  pending_at_ = 0;
  paused_ = true;
  stream_->pause_reading();
}

// Offers again what the codec would not take before. True if that changed anything.
bool StreamPump::offer_pending() {
  auto const rest = ByteView(pending_).substr(pending_at_);
  // These bytes were in hand long ago: the journey of what is in them starts now, when they are
  // looked at.
  auto const now = options_.stamps ? net::Reactor::clock() : reactor_.now();
  std::size_t taken_bytes = 0;
  if (!rest.empty()) {
    offering_ = true;
    auto taken = codec_->receive(rest, now);
    drain_events(now, now);
    offering_ = false;
    if (closed_) return false;
    if (!taken) {
      fail(taken.take_error());
      return true;
    }
    taken_bytes = *taken;
    pending_at_ += taken_bytes;
  }
  if (pending_at_ < pending_.size()) return taken_bytes > 0;
  std::string().swap(pending_);  // an idle connection holds no buffer
  pending_at_ = 0;
  paused_ = false;
  stream_->resume_reading();
  return true;
}

void StreamPump::drain_events(Time ready, Time received) {
  while (!closed_) {
    auto event = codec_->next_event();
    if (!event) break;
    owner_.on_event(std::move(*event), ready, received);
  }
}

void StreamPump::on_eof(Time now) {
  if (closed_) return;
  if (lingering_) {
    close(failure_.get());
    return;
  }
  Hold const hold(*this);
  if (!paused_) {
    end_of_input(now);
  } else if (owner_.on_peer_ended()) {  // else the end is told again behind the last byte
    close();
  }
}

void StreamPump::end_of_input(Time now) {
  input_ended_ = true;
  auto ended = codec_->receive_eof(now);
  drain_events(now, now);
  if (closed_) return;
  if (!ended) {
    fail(ended.take_error());
  } else if (codec_->afterwards() == Afterwards::go_on && owner_.on_peer_ended()) {
    close();
  }
}

void StreamPump::on_error(Error error, Time) { close(&error); }

// ----------------------------------------------------------------------------------------------
// parts out

base::Status StreamPump::send(http::StreamId stream, http::Part&& part) {
  if (closed_) return base::failure(Errc::connection_closed);
  Hold const hold(*this);
  auto const now = reactor_.now();
  auto sent = codec_->send(stream, std::move(part), now);
  codec_->take_output(out_);
  if (!has_room() && !std::exchange(over_high_water_, true))
    reactor_.counters().outputs_held_back.add();
  // From within receive() the caller drains.
  if (!offering_) drain_events(now, now);
  return sent;
}

void StreamPump::write_now() {
  if (!closed_ && !out_.empty()) write_out();
}

void StreamPump::settle() {
  for (int round = 0; !closed_; ++round) {
    if (!lingering_) codec_->take_output(out_);
    if (!out_.empty()) {
      if (round == rounds_per_turn) {  // a quick writer and a quick reader: let the other
                                       // connections have their turn
        stream_->request_writable();
        begin_waiting();  // it may never come
        break;
      }
      write_out();
      if (closed_) return;
      if (!out_.empty() && !is_waiting())
        continue;  // being told of room, somebody has written more
    }
    after_output();
    if (closed_ || lingering_ || failure_ || !paused_ || !has_room() || !offer_pending()) break;
  }
  if (!closed_) arm_timer();
}

void StreamPump::write_out() {
  auto const waiting = out_.size();
  auto written = stream_->write(out_);
  if (!written) {
    // What was promised cannot be kept: the peer must not take it for whole.
    if (written.error().code == Errc::body_length_mismatch) stream_->abort();
    close(&written.error());
    return;
  }
  if (out_.empty()) {
    end_waiting();
    owner_.on_written(options_.stamps ? net::Reactor::clock() : reactor_.now());
  } else if (!is_waiting()) {
    begin_waiting();
  } else if (out_.size() < waiting) {
    auto const now = reactor_.now();
    write_patience_ =
        base::patience_left(write_patience_, now - write_stuck_since_, waiting - out_.size(),
                            options_.min_response_rate, options_.write_timeout);
    write_stuck_since_ = now;
  }
  if (!closed_ && over_high_water_ && out_.size() <= options_.low_water_bytes) {
    over_high_water_ = false;
    owner_.on_room();
  }
}

void StreamPump::begin_waiting() {
  if (is_waiting()) return;
  write_stuck_since_ = reactor_.now();
  write_patience_ = options_.write_timeout;
  codec_->output_waits(true, write_stuck_since_);
}

void StreamPump::end_waiting() {
  if (!is_waiting()) return;
  write_stuck_since_ = 0;
  codec_->output_waits(false, reactor_.now());
}

void StreamPump::on_writable(Time) {
  if (closed_) return;
  Hold const hold(*this);
}

// What becomes of the connection, once all output has been written.
void StreamPump::after_output() {
  if (!out_.empty() || lingering_) return;
  auto next = codec_->afterwards();
  if (failure_ && next != Afterwards::close) next = Afterwards::close_lingering;
  switch (next) {
    case Afterwards::go_on:
      if (input_ended_ && owner_.on_peer_ended()) close();
      return;
    case Afterwards::close:
      close(failure_.get());
      return;
    case Afterwards::close_lingering:
      begin_lingering();
      return;
    case Afterwards::hand_over:
      owner_.on_hand_over();
      return;
  }
}

void StreamPump::replace_codec(std::unique_ptr<proto::Codec> codec) {
  codec_ = std::move(codec);  // settle(), which called us, offers it what was left over
}

// ----------------------------------------------------------------------------------------------
// ends

void StreamPump::fail(Error error) {
  if (failure_) return;
  failure_ = std::make_unique<Error>(std::move(error));
  owner_.on_failure(*failure_);
}

void StreamPump::begin_lingering() {
  lingering_ = true;
  reactor_.counters().connections_lingered.add();
  if (input_ended_) {
    close(failure_.get());
    return;
  }
  std::string().swap(pending_);
  pending_at_ = 0;
  stream_->end_writing();
  if (std::exchange(paused_, false)) stream_->resume_reading();
  reactor_.wheel().arm(timer_, reactor_.now() + options_.linger_timeout);
}

void StreamPump::close(const Error* why) {
  if (closed_) return;
  closed_ = true;
  std::unique_ptr<Error> const kept = why && why == failure_.get() ? std::move(failure_) : nullptr;
  reactor_.wheel().disarm(timer_);
  stream_->close();
  out_.clear();
  owner_.on_closed(why);
}

void StreamPump::abort(const Error& why) {
  if (closed_) return;
  stream_->abort();
  close(&why);
}

void StreamPump::on_timer(Time now) {
  if (closed_) return;
  if (lingering_) {
    close(failure_.get());
    return;
  }
  if (is_waiting() && now >= write_stuck_since_ + write_patience_) {
    abort(Error{Errc::write_timeout, {}, {}});
    return;
  }
  Hold const hold(*this);
  if (now < codec_->deadline()) return;  // settle() arms it again
  auto ticked = codec_->tick(now);
  drain_events(now, now);
  if (!ticked) fail(ticked.take_error());
}

void StreamPump::arm_timer() {
  if (lingering_) return;
  auto deadline = codec_->deadline();
  if (is_waiting()) deadline = std::min(deadline, write_stuck_since_ + write_patience_);
  reactor_.wheel().arm(timer_, deadline);
}

}  // namespace millrace::conn
