// What comes in: heads and bodies.
#include <algorithm>

#include "millrace/base/patience.hpp"
#include "millrace/base/read_piece.hpp"
#include "millrace/proto/http/status.hpp"
#include "millrace/proto/http1/codec.hpp"

namespace millrace::http1 {

using base::ByteView;
using base::Time;
using proto::Afterwards;
using proto::Side;

namespace {

// Data out of `offered`. What stands behind the part that is used will be looked at again, so only
// where that is nothing may the data take over the memory.
base::Bytes bytes_of(ByteView data, ByteView offered, std::size_t used) {
  return used == offered.size() ? base::ReadPiece::keep(data) : base::Bytes::copy_of(data);
}

}  // namespace

base::Result<std::size_t> Codec::receive(ByteView bytes, Time now) {
  std::size_t total = 0;
  while (total < bytes.size() && afterwards_ == Afterwards::go_on) {
    auto const rest = bytes.substr(total);
    std::size_t used = 0;
    Breach breach;
    if (in_ == State::idle) {
      breach = read_head(rest, now, used);
    } else if (in_ == State::body) {
      breach = read_body(rest, now, used);
    }
    if (breach) return refuse(breach);
    if (used == 0) break;
    total += used;
  }
  // Whatever comes behind the end of the connection is swallowed.
  bool const is_over =
      afterwards_ == Afterwards::close || afterwards_ == Afterwards::close_lingering;
  return is_over ? bytes.size() : total;
}

Breach Codec::read_head(ByteView bytes, Time now, std::size_t& used) {
  if (side_ == Side::client && out_ == State::idle) {
    bool const has_events = first_event_ || !data_.empty() || end_ready_;
    if (!has_events) return {Rule::unasked_response, bytes};
    // Behind a good response: that one is kept, the connection is not.
    end_connection(Afterwards::close);
    return {};
  }
  if (!head_) {
    Breach breach;
    if (side_ == Side::server && skip_empty_line(bytes, used, breach)) {
      since_ = now;
      return breach;
    }
    head_.reset(http::HeadPool::take());
    reader_ = {};
    since_ = now;
  }
  auto const outcome = reader_.feed(bytes, *head_, side_, limits_);
  used = outcome.consumed;
  if (outcome.breach || !outcome.is_whole) return outcome.breach;
  return side_ == Side::server ? accept_request() : accept_response(now);
}

// RFC 9112 2.2: one empty line before a request is ignored; old clients send it behind a body.
bool Codec::skip_empty_line(ByteView bytes, std::size_t& used, Breach& breach) {
  if (empty_line_ == 2 || (empty_line_ == 0 && bytes.front() != '\r')) return false;
  if (empty_line_ == 1 && bytes.front() != '\n') breach = {Rule::line_end, bytes.substr(0, 1)};
  ++empty_line_;
  used = 1;
  return true;
}

Breach Codec::accept_request() {
  auto framing = Framing::none;
  if (auto const breach = interpret_request(*head_, framing)) return breach;
  asked_ = head_->method;
  is_http10_ = head_->version_minor == 0;
  wants_upgrade_ = head_->wants_upgrade;
  expects_continue_ = head_->expects_continue;
  empty_line_ = 0;
  if (!head_->keep_alive) close_after_ = true;
  ++stream_;
  credit_ = 0;
  begin_body(framing);
  return {};
}

Breach Codec::accept_response(Time now) {
  auto framing = Framing::none;
  if (auto const breach = interpret_response(*head_, asked_, framing)) return breach;
  auto const status = head_->status;
  if (http::is_interim(status) && status != 101) {
    if (++interims_ > interim_most) return {Rule::interim_count, {}};
    advance(in_, Input::interim);
    (last_event_ ? last_event_->next : first_event_) = head_.get();
    last_event_ = head_.release();
    return {};
  }
  bool const switches = switches_protocol(status);
  bool const may_switch = out_ == State::done && (status != 101 || wants_upgrade_);
  if (switches && !may_switch) return {Rule::unasked_upgrade, {}};
  if (!head_->keep_alive && !switches) close_after_ = true;
  begin_body(framing);
  if (switches) {
    switch_protocol();
  } else if (in_ == State::done) {
    settle(now);
  }
  return {};
}

// The head is whole: it becomes an event, and its body begins.
void Codec::begin_body(Framing framing) {
  advance(in_, Input::head);
  in_framing_ = framing;
  in_remaining_ = head_->content_length.value_or(0);
  body_patience_ = limits_.body_timeout;
  body_seen_ = is_discarding_ = end_ready_ = false;
  if (framing == Framing::none) advance(in_, Input::end);
  if (framing == Framing::chunked) chunks_ = {};
  (last_event_ ? last_event_->next : first_event_) = head_.get();
  last_event_ = head_.release();
}

Breach Codec::read_body(ByteView bytes, Time now, std::size_t& used) {
  Breach breach;
  body_seen_ = true;
  if (is_discarding_) {
    breach = discard_body(bytes, used);
  } else if (!data_.empty()) {
    return {};  // the owner has not taken the last piece yet
  } else if (in_framing_ == Framing::chunked) {
    breach = read_chunks(bytes, used);
  } else {
    used = std::min(bytes.size(), credit_);
    if (in_framing_ == Framing::length) {
      used = static_cast<std::size_t>(std::min<std::uint64_t>(used, in_remaining_));
      in_remaining_ -= used;
    }
    data_ = bytes_of(bytes.substr(0, used), bytes, used);
    credit_ -= used;
  }
  if (breach || used == 0) return breach;
  account_for_body(used, now);
  bool const is_over = in_framing_ == Framing::chunked
                           ? chunks_.is_done()
                           : in_framing_ == Framing::length && in_remaining_ == 0;
  if (is_over && in_ == State::body) end_body(now);
  return {};
}

// However many chunks there are, their data becomes one event.
Breach Codec::read_chunks(ByteView bytes, std::size_t& used) {
  ByteView one;
  std::string many;
  while (used < bytes.size() && !chunks_.is_done()) {
    auto const outcome = chunks_.feed(bytes.substr(used), credit_, limits_);
    if (outcome.breach) return outcome.breach;
    used += outcome.consumed;
    if (outcome.data.empty()) break;
    credit_ -= outcome.data.size();
    if (one.empty()) {
      one = outcome.data;
      continue;
    }
    if (many.empty()) {
      many.reserve(bytes.size());
      many = one;
    }
    many += outcome.data;
  }
  data_ = many.empty() ? bytes_of(one, bytes, used) : base::Bytes::from(std::move(many));
  return {};
}

Breach Codec::discard_body(ByteView bytes, std::size_t& used) {
  if (in_framing_ == Framing::length) {
    used = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), in_remaining_));
    in_remaining_ -= used;
    return {};
  }
  while (used < bytes.size() && !chunks_.is_done()) {
    auto const outcome = chunks_.feed(bytes.substr(used), bytes.size(), limits_);
    if (outcome.breach) return outcome.breach;
    used += outcome.consumed;
  }
  discarded_ += used;
  if (discarded_ > limits_.discard_bytes) end_connection(Afterwards::close_lingering);
  return {};
}

// A server's answers may come as slowly as they like: only requests keep to the rate.
void Codec::account_for_body(std::size_t bytes, Time now) {
  auto const rate = side_ == Side::server ? limits_.min_body_rate : 0;
  body_patience_ =
      base::patience_left(body_patience_, now - since_, bytes, rate, limits_.body_timeout);
  since_ = now;
}

void Codec::end_body(Time now) {
  advance(in_, Input::end);
  end_ready_ = !is_discarding_;
  settle(now);
}

}  // namespace millrace::http1
