// What both directions share: events, ends, time.
#include "millrace/proto/http1/codec.hpp"

#include <limits>

#include "millrace/proto/http/status.hpp"

namespace millrace::http1 {

using base::ByteView;
using base::Status;
using base::Time;
using http::HeadBlockPtr;
using proto::Afterwards;
using proto::Side;

namespace {

constexpr Time never = std::numeric_limits<Time>::max();

// For a log line: at most 64 bytes, what cannot be printed shown as a dot.
std::string printable(ByteView seen) {
  std::string text(seen.substr(0, 64));
  for (char& c : text)
    if (c < ' ' || c > '~') c = '.';
  return text;
}

base::Error error_of(Breach breach) {
  auto const& row = describe(breach.rule);
  std::string detail(row.says);
  if (!breach.seen.empty()) detail += ": \"" + printable(breach.seen) + '"';
  return {row.code, row.clause, std::move(detail)};
}

}  // namespace

Codec::Codec(Side side, const http::Limits& limits, const http::DateField* date, Time now)
    : limits_(limits), date_(date), since_(now), side_(side) {}

Codec::~Codec() { drop_events(); }

std::unique_ptr<proto::Codec> make_codec(Side side, const http::Limits& limits,
                                         const http::DateField* date, Time now) {
  return std::make_unique<Codec>(side, limits, date, now);
}

Status Codec::receive_eof(Time now) {
  if (afterwards_ != Afterwards::go_on) return {};
  peer_ended_ = true;
  if (is_idle() || is_discarding_) {
    end_connection(Afterwards::close);
    return {};
  }
  if (in_ == State::body && in_framing_ == Framing::until_close) {
    end_body(now);
    return {};
  }
  if (in_ != State::done) return refuse({Rule::cut_short, {}});
  // The peer has said all it wanted and may still listen: it gets its answer.
  close_after_ = true;
  peer_may_send_ = false;
  if (side_ == Side::client) end_connection(Afterwards::close);
  return {};
}

Status Codec::refuse(Breach breach) {
  auto error = error_of(breach);  // before what it points at goes
  auto how = Afterwards::close_lingering;
  if (out_ == State::body || side_ == Side::client || peer_ended_) how = Afterwards::close;
  if (auto const status = describe(breach.rule).status;
      side_ == Side::server && out_ == State::idle && status != 0) {
    // A head that is refused itself has perhaps said its method (RFC 9110 9.3.2).
    auto const of_head = head_ ? head_->method : http::Method::other;
    auto const asked = in_ == State::idle ? of_head : asked_;
    bool const with_body = asked != http::Method::head;
    auto const body_bytes = write_refusal(output_, status, date_, with_body);
    // A head that nobody has heard of is not told as a request any more.
    if (first_event_) head_.reset(std::exchange(first_event_, nullptr));
    if (in_ == State::idle || head_) stream_ = 0;
    refused_ = std::make_unique<http::Refused>(
        http::Refused{http::Head(std::move(head_)), status, body_bytes, since_});
  }
  if (breach.rule == Rule::idle_time) how = Afterwards::close;
  drop_events();
  end_connection(how);
  return error;
}

std::optional<http::Event> Codec::next_event() {
  if (!first_event_ && data_.empty() && !end_ready_ && !refused_) return std::nullopt;
  // Built where it is returned: an event is large, and moves of a variant are calls.
  std::optional<http::Event> event;
  if (first_event_) {
    HeadBlockPtr block(std::exchange(first_event_, first_event_->next));
    if (!first_event_) last_event_ = nullptr;
    bool const is_interim = http::is_interim(block->status) && block->status != 101;
    bool const ends = !block->has_body && !is_interim;
    event.emplace().what = http::HeadReceived{http::Head(std::move(block)), ends};
  } else if (!data_.empty()) {
    event.emplace().what = http::Data{std::move(data_)};
  } else if (end_ready_) {
    end_ready_ = false;
    auto& end = event.emplace().what.emplace<http::End>();
    if (in_framing_ == Framing::chunked) end.trailers = chunks_.take_trailers();
  } else {
    event.emplace().what = std::move(*std::exchange(refused_, nullptr));
  }
  event->stream = stream_;
  return event;
}

void Codec::drop_events() {
  while (first_event_) HeadBlockPtr(std::exchange(first_event_, first_event_->next));
  last_event_ = nullptr;
  data_ = {};
  end_ready_ = false;
}

std::size_t Codec::take_output(base::ByteChain& out) {
  auto const n = output_.size();
  if (n != 0) out.splice(output_);
  return n;
}

bool Codec::can_discard() const {
  return in_framing_ == Framing::chunked || in_remaining_ <= limits_.discard_bytes;
}

// Called whenever a direction is done.
void Codec::settle(Time now) {
  if (side_ == Side::client) {
    settle_client();
  } else if (out_ == State::done) {
    settle_server(now);
  }
}

void Codec::settle_server(Time now) {
  if (in_ == State::body) {
    if (close_after_ || !can_discard()) {
      drop_events();
      end_connection(Afterwards::close_lingering);
    } else if (!is_discarding_) {
      drop_events();
      is_discarding_ = true;
      discarded_ = 0;
      body_patience_ = limits_.body_timeout;
      since_ = now;
    }
    return;
  }
  // A handler that has answered hears no more of its request.
  if (end_ready_ || !data_.empty()) drop_events();
  if (close_after_) {
    end_connection(peer_may_send_ ? Afterwards::close_lingering : Afterwards::close);
    return;
  }
  advance(in_, Input::next);
  advance(out_, Input::next);
  is_discarding_ = false;
  since_ = now;
}

void Codec::settle_client() {
  if (in_ != State::done) return;
  if (close_after_) {
    end_connection(Afterwards::close);
  } else if (out_ == State::done) {
    advance(in_, Input::next);
    advance(out_, Input::next);
  }
}

void Codec::switch_protocol() {
  advance(in_, Input::switch_to);
  advance(out_, Input::switch_to);
  afterwards_ = Afterwards::hand_over;
}

void Codec::end_connection(Afterwards how) {
  advance(in_, Input::abort);
  advance(out_, Input::abort);
  is_discarding_ = false;
  head_.reset();
  afterwards_ = how;
}

void Codec::output_waits(bool waits, Time now) {
  // Who waits for room may have stopped reading: meanwhile no body is late.
  if (waits && waits_for_body()) account_for_body(0, now);
  output_waits_ = waits;
  if (!waits && (is_idle() || waits_for_body())) since_ = now;  // idle, or late, from now on
}

Time Codec::deadline() const {
  if (afterwards_ != Afterwards::go_on) return never;
  if (in_ == State::idle) {
    if (head_) return since_ + limits_.header_timeout;
    return side_ == Side::server && !output_waits_ ? since_ + limits_.idle_timeout : never;
  }
  if (waits_for_body()) return since_ + body_patience_;
  return never;
}

Status Codec::tick(Time now) {
  if (now < deadline()) return {};
  if (in_ == State::body) return refuse({Rule::body_time, {}});
  return refuse({head_ ? Rule::header_time : Rule::idle_time, {}});
}

}  // namespace millrace::http1
