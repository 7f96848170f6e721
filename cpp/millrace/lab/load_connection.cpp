#include "millrace/lab/load_connection.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "millrace/conn/protocols.hpp"

namespace millrace::lab {

using base::Errc;
using base::Error;
using base::Time;

namespace {

constexpr std::size_t kind_of(Errc code) { return static_cast<std::size_t>(code); }

// Far behind every request's own timeout, which is the one that is reported.
constexpr base::Duration codec_timeout = base::seconds(24 * 3600);

constexpr http::StreamId first_stream = 1;

// Nothing of an answer is kept, so nothing can pile up: all of its body may come at once.
constexpr http::Credit all_of_it{std::numeric_limits<std::size_t>::max()};

}  // namespace

LoadCrew::LoadCrew(net::Reactor& loop, const LoadTarget& where, const LoadOptions& what,
                   LoadTally& counts)
    : reactor(loop),
      target(where),
      options(what),
      tally(counts),
      record_from(std::numeric_limits<Time>::max()) {
  limits.header_timeout = limits.body_timeout = limits.idle_timeout = codec_timeout;
  pump.write_timeout = codec_timeout;
  pump.min_response_rate = 0;  // a slow server is what is measured
  pump.stamps = false;         // the stream stamps what it reads; that is all that is needed
}

LoadConnection::LoadConnection(LoadCrew& crew) : crew_(crew) {
  timer_.connection = this;
  timer_.fire = [](net::WheelEntry& entry, Time now) {
    static_cast<Timer&>(entry).connection->on_timer(now);
  };
}

LoadConnection::~LoadConnection() { crew_.reactor.wheel().disarm(timer_); }

// --- connecting

void LoadConnection::connect() {
  state_ = State::connecting;
  connect_began_ = net::Reactor::clock();
  endpoint_at_ = crew_.endpoint_at;
  net::connect_socket(
      crew_.reactor, crew_.target.endpoints()[endpoint_at_], connect_began_ + crew_.options.timeout,
      [this](base::Result<int> descriptor) { on_connected(std::move(descriptor)); });
}

void LoadConnection::connect_later() {
  crew_.reactor.wheel().arm(timer_, crew_.reactor.now() + connect_pause);
}

void LoadConnection::on_connected(base::Result<int> descriptor) {
  auto const now = net::Reactor::clock();
  if (!descriptor) {
    connect_failed(descriptor.take_error());
    return;
  }
  crew_.tally.connect.record(now - connect_began_);
  if (std::exchange(was_connected_, true)) crew_.tally.reconnects.add();
  auto stream = net::make_socket_stream(
      crew_.reactor, *descriptor, crew_.target.endpoints()[endpoint_at_], {.stamp_reads = true});
  auto codec = conn::find_protocol("h1")->make({proto::Side::client, crew_.limits}, now);
  pump_ = std::make_unique<conn::StreamPump>(crew_.reactor, std::move(stream), std::move(codec),
                                             *this, crew_.pump);
  stream_ = first_stream;
  pump_->start();
  if (!pump_) return;  // it was closed at once, and on_closed has told
  state_ = State::idle;
  crew_.on_idle(*this, now);
}

void LoadConnection::connect_failed(Error why) {
  state_ = State::away;
  auto const is_last = endpoint_at_ + 1 == crew_.target.endpoints().size();
  // A name may have addresses that nobody listens on: "localhost" is ::1 as well.
  if (!was_connected_ && !is_last) {
    crew_.endpoint_at = std::max(crew_.endpoint_at, endpoint_at_ + 1);
    connect();
  } else if (crew_.on_connect_failed(std::move(why))) {
    connect_later();
  }
}

// --- one request

void LoadConnection::send(Time due, Time now) {
  due_ = due;
  sent_ = now;
  status_ = 0;
  head_at_ = 0;
  body_at_ = 0;
  body_is_wrong_ = false;
  state_ = State::busy;
  crew_.reactor.wheel().arm(timer_, now + crew_.options.timeout);
  conn::StreamPump::Hold const hold(*pump_);  // one write, behind both
  auto sent = pump_->send(stream_, crew_.target.message());
  if (sent) sent = pump_->send(stream_, all_of_it);
  if (!sent && state_ == State::busy) break_off(sent.error().code, now);
}

void LoadConnection::on_event(http::Event&& event, Time, Time received) {
  if (state_ != State::busy) return;  // the codec refuses what nobody asked for
  if (auto const* head = std::get_if<http::HeadReceived>(&event.what)) {
    take_head(*head, received);
  } else if (auto const* data = std::get_if<http::Data>(&event.what)) {
    take_data(data->bytes);
  } else if (std::holds_alternative<http::End>(event.what)) {
    take_end(received);
  } else if (auto const* reset = std::get_if<http::Reset>(&event.what)) {
    break_off(reset->error.code, received);
  }
}

void LoadConnection::take_head(const http::HeadReceived& head, Time received) {
  status_ = head.head.status();
  auto const is_interim = status_ < 200;
  if (is_interim) {
    if (due_ >= crew_.record_from) crew_.tally.statuses[status_].add();
    return;
  }
  head_at_ = received;
  keeps_alive_ = head.head.keep_alive();
  if (head.ends_stream) take_end(received);
}

void LoadConnection::take_data(const base::Bytes& bytes) {
  if (auto const& expected = crew_.options.request.expect_body; expected && !body_is_wrong_)
    body_is_wrong_ =
        expected->compare(std::min(body_at_, expected->size()), bytes.size(), bytes.view()) != 0;
  body_at_ += bytes.size();
}

void LoadConnection::take_end(Time received) {
  auto const& expected = crew_.options.request.expect_body;
  auto const is_success = status_ >= 200 && status_ < 300;
  if (expected && is_success && (body_is_wrong_ || body_at_ != expected->size())) {
    count_error(LoadTally::unexpected_body);
  } else if (received - sent_ > crew_.options.timeout) {
    count_error(kind_of(Errc::body_timeout));  // the wheel is coarse and had not noticed yet
  } else {
    count_answer(received);
  }
  ++stream_;
  state_ = keeps_alive_ ? State::idle : State::leaving;
  crew_.on_done(received);
  if (state_ == State::idle) crew_.on_idle(*this, received);
}

void LoadConnection::count_answer(Time received) {
  auto& tally = crew_.tally;
  tally.done.add();
  if (due_ < crew_.record_from) return;
  tally.answered.add();
  if (status_ < LoadTally::status_count) tally.statuses[status_].add();
  tally.latency.record(received - sent_);
  tally.ttfb.record(head_at_ - sent_);
  if (crew_.options.pace.rate > 0) tally.intended.record(received - due_);
}

// --- what goes wrong

void LoadConnection::count_error(std::size_t kind) {
  crew_.tally.done.add();
  if (due_ < crew_.record_from) return;
  crew_.tally.failed.add();
  crew_.tally.errors[kind].add();
}

void LoadConnection::on_timer(Time now) {
  if (state_ == State::away) {
    connect();
  } else if (state_ == State::busy) {
    if (auto const deadline = sent_ + crew_.options.timeout; now < deadline)
      crew_.reactor.wheel().arm(timer_, deadline);
    else
      time_out();
  }
}

void LoadConnection::time_out() {
  pump_->abort(Error{head_at_ == 0 ? Errc::header_timeout : Errc::body_timeout, {}, {}});
}

void LoadConnection::break_off(Errc why, Time now) {
  count_error(kind_of(why));
  state_ = State::leaving;
  crew_.on_done(now);
  pump_->close();
}

// No goodbye is owed to a server that breaks the protocol.
void LoadConnection::on_failure(const Error& error) { pump_->close(&error); }

void LoadConnection::on_hand_over() {
  Error const why{Errc::unexpected_message, {}, {}};
  pump_->close(&why);
}

void LoadConnection::on_closed(const Error* why) {
  crew_.reactor.dispose(pump_.release());
  crew_.reactor.wheel().disarm(timer_);
  auto const was = std::exchange(state_, State::away);
  if (was == State::connecting) {
    connect_failed(why ? *why : Error{Errc::connection_closed, {}, {}});
    return;
  }
  if (was == State::busy) {
    count_error(kind_of(why ? why->code : Errc::connection_closed));
    crew_.on_done(net::Reactor::clock());
  }
  if (!crew_.on_lost()) return;
  // A server that closes what it has just accepted is in trouble, or full.
  if (stream_ == first_stream)
    connect_later();
  else
    connect();
}

}  // namespace millrace::lab
