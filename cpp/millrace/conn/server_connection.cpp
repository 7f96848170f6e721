#include "millrace/conn/server_connection.hpp"

#include <utility>

#include "millrace/conn/failure_counts.hpp"
#include "millrace/proto/http/status.hpp"

namespace millrace::conn {

using base::Errc;
using base::Error;
using base::Time;
using trace::Moment;

namespace {

base::ByteView protocol_of(const http::Head& head) {
  switch (head.version_major()) {
    case 1:
      return head.version_minor() == 0 ? "HTTP/1.0" : "HTTP/1.1";
    case 2:
      return "HTTP/2";
    default:
      return "HTTP/3";
  }
}

base::ByteView field_of(const http::Head& head, base::ByteView lower_case_name) {
  return head.find(lower_case_name).value_or(base::ByteView{});
}

// Of a head that was refused: what was read of it.
class RefusedWords final : public trace::RequestWords {
 public:
  RefusedWords(const http::Head& head, base::ByteView client)
      : head_(head), has_line_(head && !head.target().empty()), client_(client) {}
  base::ByteView method() const override { return has_line_ ? head_.method_text() : nothing; }
  base::ByteView target() const override { return has_line_ ? head_.target() : nothing; }
  base::ByteView protocol() const override { return has_line_ ? protocol_of(head_) : nothing; }
  base::ByteView unread_line() const override {
    return head_ && !has_line_ ? head_.start_line() : nothing;
  }
  base::ByteView route() const override { return nothing; }
  base::ByteView client() const override { return client_; }
  base::ByteView field(base::ByteView lower_case_name) const override {
    return head_ ? field_of(head_, lower_case_name) : nothing;
  }

 private:
  static constexpr base::ByteView nothing{};
  const http::Head& head_;
  bool const has_line_;
  base::ByteView client_;
};

}  // namespace

// The client's address becomes text only where somebody writes it down.
class ServerConnection::Words final : public trace::RequestWords {
 public:
  Words(const Exchange& exchange, ServerConnection& connection)
      : exchange_(exchange), connection_(connection) {}
  base::ByteView method() const override { return exchange_.head.method_text(); }
  base::ByteView target() const override { return exchange_.head.target(); }
  base::ByteView protocol() const override { return protocol_of(exchange_.head); }
  base::ByteView route() const override { return exchange_.route; }
  base::ByteView client() const override {
    auto const* const said = exchange_.filters_said();
    if (!said || !said->client) return connection_.client();
    if (client_.empty()) client_ = said->client->host();
    return client_;
  }
  base::ByteView field(base::ByteView lower_case_name) const override {
    return field_of(exchange_.head, lower_case_name);
  }

 private:
  const Exchange& exchange_;
  ServerConnection& connection_;
  mutable std::string client_;  // as a trusted proxy has told, once asked for
};

// ----------------------------------------------------------------------------------------------
// the set

void ConnectionSet::go_away(http::GoAway away) {
  for (auto* connection = first_; connection;) {
    auto* const next = connection->next_;
    (void)connection->pump_.send(0, away);  // a closed one has nothing to be told
    connection = next;
  }
}

void ConnectionSet::abort_all(const Error& why) {
  for (auto* connection = first_; connection;) {
    auto* const next = connection->next_;
    connection->pump_.abort(why);
    connection = next;
  }
}

void ConnectionSet::list_open(std::vector<OpenRequest>& into) const {
  for (auto* connection = first_; connection; connection = connection->next_)
    connection->list_open(into);
}

// ----------------------------------------------------------------------------------------------
// life

ServerConnection::ServerConnection(net::Reactor& reactor, std::unique_ptr<net::Stream> stream,
                                   std::unique_ptr<proto::Codec> codec, Service& service,
                                   trace::Sink& sink, ConnectionSet& set,
                                   const ServerConnectionOptions& options)
    : pump_(reactor, std::move(stream), std::move(codec), *this, options.pump),
      service_(service),
      sink_(sink),
      set_(set),
      options_(options),
      since_(reactor.now()) {
  next_ = set_.first_;
  if (next_) next_->previous_ = this;
  set_.first_ = this;
  ++set_.size_;
  reactor.counters().connections_opened.add();
  reactor.counters().connections_open.add();
}

ServerConnection::~ServerConnection() = default;

void ServerConnection::on_closed(const Error* why) {
  closed_ = true;
  if (why && why->code == Errc::write_timeout) count_failure(pump_.reactor().counters(), why->code);
  (previous_ ? previous_->next_ : set_.first_) = next_;
  if (next_) next_->previous_ = previous_;
  --set_.size_;
  pump_.reactor().counters().connections_open.subtract();
  release_all_done(0);
  record_refusal(0);
  break_off_all(why ? *why : Error{Errc::connection_closed, {}, {}});
  service_.on_connection_closed(pump_.peer());
  dispose_if_over();
}

void ServerConnection::dispose_if_over() {
  if (!closed_ || open_ || done_ || std::exchange(disposed_, true)) return;
  pump_.reactor().dispose(this);
}

// ----------------------------------------------------------------------------------------------
// what comes in

void ServerConnection::on_event(http::Event&& event, Time ready, Time received) {
  if (auto* head = std::get_if<http::HeadReceived>(&event.what)) {
    open_exchange(event.stream, std::move(*head), ready, received);
    return;
  }
  if (auto* refused = std::get_if<http::Refused>(&event.what)) {
    take_refusal(event.stream, std::move(*refused));
    return;
  }
  auto* const exchange = find(event.stream);
  if (!exchange) return;  // answered before its body was whole; the rest is nobody's
  if (auto* data = std::get_if<http::Data>(&event.what)) {
    take_data(*exchange, std::move(data->bytes));
  } else if (auto* end = std::get_if<http::End>(&event.what)) {
    take_end(*exchange, std::move(end->trailers));
  } else if (auto* reset = std::get_if<http::Reset>(&event.what)) {
    break_off(*exchange, reset->error);
  } else {
    acknowledge(*exchange, Tell::by_observer);
  }
}

void ServerConnection::open_exchange(http::StreamId stream, http::HeadReceived head, Time ready,
                                     Time received) {
  auto& exchange = *Exchange::take();
  exchange.connection_ = this;
  exchange.home_ = &pump_.reactor();
  exchange.stream_ = stream;
  exchange.head = std::move(head.head);
  exchange.body.reset(!head.ends_stream);
  ++requests_;
  retire_if_worn();
  exchange.since_ = pump_.reactor().now();
  exchange.summarize();
  exchange.stamping_ = options_.journey;
  if (options_.journey) {
    exchange.stamps.stamp(Moment::ready, ready);
    exchange.stamps.stamp(Moment::received, received);
    exchange.stamps.stamp(Moment::head_parsed, net::Reactor::clock());
  }
  exchange.next_ = open_;
  open_ = &exchange;
  exchange.handed_over_ = true;
  service_.on_exchange(exchange);
}

// The request that has just come is the connection's last; its answer will say so.
void ServerConnection::retire_if_worn() {
  auto& counters = pump_.reactor().counters();
  bool const is_used_up = options_.max_requests != 0 && requests_ >= options_.max_requests;
  bool const is_old = options_.max_age != 0 && pump_.reactor().now() - since_ >= options_.max_age;
  if (!is_used_up && !is_old) return;
  (is_used_up ? counters.connections_used_up : counters.connections_aged).add();
  (void)pump_.send(0, http::GoAway{});  // a closed one has nothing to be told
}

// A request that is under way has its line with that outcome; what never became one gets its own.
void ServerConnection::take_refusal(http::StreamId stream, http::Refused refused) {
  if (auto* const exchange = find(stream)) {
    exchange->refused_ = true;
    exchange->status_ = refused.status;
    exchange->bytes_out_ = refused.body_bytes;
  } else if (options_.journey) {
    refused_ = std::make_unique<http::Refused>(std::move(refused));
  }
}

void ServerConnection::list_open(std::vector<OpenRequest>& into) const {
  for (auto* list : {open_, done_})
    for (auto* exchange = list; exchange; exchange = exchange->next_)
      into.push_back({{exchange->summary_.data(), exchange->summary_size_}, exchange->since_});
}

Exchange* ServerConnection::find(http::StreamId stream) {
  auto* exchange = open_;
  while (exchange && exchange->stream_ != stream) exchange = exchange->next_;
  return exchange;
}

void ServerConnection::take_data(Exchange& exchange, base::Bytes bytes) {
  if (exchange.decoding_) {
    exchange.decoding_->put(std::move(bytes));
    decode(exchange);
    return;
  }
  exchange.body.put(std::move(bytes));
  if (exchange.body_mode_ == Exchange::BodyMode::collecting) {
    if (may_hold(exchange)) grant_credit(exchange);
    return;
  }
  if (exchange.body.received() == exchange.credited_)
    pump_.reactor().counters().bodies_held_back.add();
  tell_of_body(exchange);
}

// Whether what has come of a buffered body may stay; if not, its exchange has been answered.
bool ServerConnection::may_hold(Exchange& exchange) {
  if (exchange.body.received() > exchange.collect_limit_) {
    refuse(exchange, Errc::body_too_large);
    return false;
  }
  exchange.hand_over();  // while it may be answered
  auto const received = exchange.body.received();
  if (!service_.hold(exchange, received - std::exchange(exchange.collected_, received)))
    return false;
  exchange.hold_back();
  return true;
}

void ServerConnection::take_end(Exchange& exchange, http::Fields trailers) {
  if (exchange.decoding_) {
    exchange.decoding_->end(std::move(trailers));
    decode(exchange);
    return;
  }
  exchange.body.end(std::move(trailers));
  if (exchange.body_mode_ == Exchange::BodyMode::collecting) {
    complete_body(exchange);
  } else {
    tell_of_body(exchange);
  }
}

void ServerConnection::complete_body(Exchange& exchange) {
  exchange.whole_body = exchange.body.take_all();
  if (exchange.stamping_) exchange.stamps.stamp(Moment::body_complete, net::Reactor::clock());
  exchange.handed_over_ = true;
  service_.on_body(exchange);
}

void ServerConnection::tell_of_body(Exchange& exchange) {
  auto* const observer = exchange.observer_.load();
  if (observer && exchange.body.take_wants_notice()) observer->on_body(exchange);
}

// As far ahead of its reader as a plain body may be, or as far as it may grow where it is buffered.
void ServerConnection::decode(Exchange& exchange) {
  bool const is_collected = exchange.body_mode_ == Exchange::BodyMode::collecting;
  auto const most = is_collected ? exchange.collect_limit_ : BodyReader::decoded_ahead_bytes;
  auto const decoded = exchange.decoding_->advance(exchange.body, most);
  if (!decoded) {
    auto& counters = pump_.reactor().counters();
    bool const is_bomb = decoded.error().code == Errc::body_too_large;
    (is_bomb ? counters.bodies_over_ratio : counters.bodies_malformed).add();
    if (is_collected) return refuse(exchange, decoded.error().code);
    exchange.body.fail(decoded.error());
  } else if (is_collected && !may_hold(exchange)) {
    return;
  } else if (is_collected && exchange.body.has_ended()) {
    return complete_body(exchange);
  }
  grant_credit(exchange);
  if (!is_collected) tell_of_body(exchange);
}

// Its reader has taken some of it.
void ServerConnection::go_on_with_body(Exchange& exchange) {
  if (exchange.decoding_) {
    decode(exchange);
  } else {
    grant_credit(exchange);
  }
}

void ServerConnection::grant_credit(Exchange& exchange) {
  auto const& body = exchange.body;
  if (closed_ || exchange.broken_ || body.has_ended() || body.has_failed()) return;
  std::size_t credit = 0;
  if (exchange.credited_ == 0) {
    credit = options_.body_ahead_bytes;
  } else if (exchange.decoding_) {
    credit = exchange.decoding_->take_credit_due();
  } else if (exchange.body_mode_ == Exchange::BodyMode::collecting) {
    credit = exchange.body.received() + options_.body_ahead_bytes - exchange.credited_;
  } else {
    credit = exchange.body.take_credit_due();
  }
  if (credit == 0) return;
  exchange.credited_ += credit;
  (void)pump_.send(exchange.stream_, http::Credit{credit});  // a stream that is over needs none
}

// A request that never reaches its handler.
void ServerConnection::refuse(Exchange& exchange, Errc code) {
  pump_.reactor().counters().protocol_errors.add();
  if (code == Errc::body_too_large) pump_.reactor().counters().bodies_too_large.add();
  exchange.handed_over_ = true;
  exchange.native = true;
  exchange.reply(
      {.status = http::status_for(code), .preset = nullptr, .fields = {}, .content_length = {}},
      {});
}

bool ServerConnection::on_peer_ended() {
  if (open_) return !options_.half_close;
  return done_ == nullptr;
}

void ServerConnection::on_failure(const Error& error) {
  count_failure(pump_.reactor().counters(), error.code);
  break_off_all(error);
}

void ServerConnection::on_hand_over() {
  if (next_codec_) {
    pump_.replace_codec(std::move(next_codec_));
  } else {
    pump_.close();
  }
}

// ----------------------------------------------------------------------------------------------
// what goes out

void ServerConnection::take_part(Exchange& exchange, http::Part&& part, bool last, Tell tell) {
  {
    StreamPump::Hold const hold(pump_);
    if (auto* data = std::get_if<http::Data>(&part)) {
      exchange.absorbed_ += data->bytes.size();
    }
    if (!closed_ && !exchange.broken_) pass_part(exchange, std::move(part));
    if (last) {
      finish(exchange);
    }
  }
  if (!last) acknowledge(exchange, tell);
}

// Through the filters' steps, where there are any.
void ServerConnection::pass_part(Exchange& exchange, http::Part&& part) {
  auto* const filtered = exchange.filtered_.get();
  if (filtered && filtered->first_step) {
    filtered->first_step->take(exchange, std::move(part));
  } else {
    send_part(exchange, std::move(part));
  }
}

void ServerConnection::send_part(Exchange& exchange, http::Part&& part) {
  bool is_final = false;
  if (auto* data = std::get_if<http::Data>(&part)) {
    exchange.bytes_out_ += data->bytes.size();
  } else if (auto* message = std::get_if<http::ResponseMessage>(&part)) {
    exchange.status_ = message->head.status;
    exchange.bytes_out_ = message->body.size();
    is_final = true;
  } else if (auto* chained = std::get_if<http::ChainedResponse>(&part)) {
    exchange.status_ = chained->head.status;
    exchange.bytes_out_ = chained->body.size();
    is_final = true;
  } else if (auto* head = std::get_if<http::ResponseHead>(&part)) {
    is_final = head->status >= 200;
    exchange.status_ = head->status;
  } else if (auto* reset = std::get_if<http::Reset>(&part);
             reset && !exchange.head_sent_ && reset->error.code != Errc::cancelled) {
    // Nothing was promised yet: the client gets a proper answer.
    is_final = true;
    exchange.status_ = http::status_for(reset->error.code);
    part = http::ResponseMessage{
        {.status = exchange.status_, .preset = nullptr, .fields = {}, .content_length = {}}, {}};
  }
  if (is_final && exchange.filtered_) exchange.filtered_->dress(*http::final_head(part));
  // What its handler breaks off has not been answered, whatever of it still leaves.
  if (std::holds_alternative<http::Reset>(part)) exchange.broken_ = true;
  auto sent = pump_.send(exchange.stream_, std::move(part));
  if (sent && http::is_interim(exchange.status_))
    pump_.write_now();  // the answer may take its time
  if (is_final) {
    exchange.head_sent_ = true;
    if (exchange.stamping_) exchange.stamps.stamp(Moment::encoded, net::Reactor::clock());
  }
  if (sent) return;
  // The application broke a rule (a length that does not match, a field that cannot be sent): what
  // is under way breaks off, what has not begun becomes a 500.
  pump_.reactor().counters().requests_failed.add();
  exchange.broken_ = true;
  exchange.status_ = 500;
  if (is_final && sent.error().code == Errc::invalid_field)
    (void)pump_.send(
        exchange.stream_,
        http::ResponseMessage{
            {.status = 500, .preset = nullptr, .fields = {}, .content_length = {}}, {}});
}

void ServerConnection::acknowledge(Exchange& exchange, Tell tell) {
  if (!pump_.has_room() && !closed_) return;
  if (exchange.absorbed_) exchange.unwritten_.fetch_sub(std::exchange(exchange.absorbed_, 0));
  if (exchange.unwritten_.load() >= options_.pump.high_water_bytes) return;
  if (!exchange.writer_waits_.exchange(false)) return;
  auto* const observer = exchange.observer_.load();
  if (observer && tell == Tell::by_observer) observer->on_room(exchange);
}

void ServerConnection::on_room() {
  for (auto* exchange = open_; exchange;) {
    auto* const next = exchange->next_;
    acknowledge(*exchange, Tell::by_observer);
    exchange = next;
  }
}

// ----------------------------------------------------------------------------------------------
// ends

void ServerConnection::break_off(Exchange& exchange, const Error& error) {
  exchange.broken_ = true;
  exchange.body.fail(error);
  if (!exchange.handed_over_) {  // its body was being collected: no handler holds it
    finish(exchange);
    return;
  }
  if (exchange.gone_.exchange(true)) return;
  exchange.writer_waits_.store(false);
  if (auto* observer = exchange.observer_.load()) observer->on_gone(exchange);
}

void ServerConnection::break_off_all(const Error& error) {
  StreamPump::Hold const hold(pump_);
  for (auto* exchange = open_; exchange;) {
    auto* const next = exchange->next_;
    break_off(*exchange, error);
    exchange = next;
  }
}

// The handler's side is done with the exchange.
void ServerConnection::finish(Exchange& exchange) {
  auto** link = &open_;
  while (*link != &exchange) link = &(*link)->next_;
  *link = exchange.next_;
  if (closed_ || exchange.broken_) {
    release(exchange, 0);
    dispose_if_over();
    return;
  }
  exchange.next_ = done_;
  done_ = &exchange;
}

void ServerConnection::on_written(Time now) {
  if (done_) release_all_done(now);
  record_refusal(now);
}

void ServerConnection::release_all_done(Time written) {
  for (auto* exchange = std::exchange(done_, nullptr); exchange;) {
    auto* const next = exchange->next_;
    release(*exchange, written);
    exchange = next;
  }
}

// `written`: as of release().
void ServerConnection::record_refusal(Time written) {
  if (!refused_) return;
  auto const refused = std::exchange(refused_, nullptr);
  trace::Stamps stamps;
  stamps.stamp(Moment::ready, refused->since);
  stamps.stamp(Moment::written, written);
  auto const ended = written != 0 ? written : net::Reactor::clock();
  sink_.request_refused({stamps, ended, refused->body_bytes, refused->status,
                         RefusedWords(refused->head, client()), true});
}

const std::string& ServerConnection::client() {
  // A Unix client's name is a path of its own choice, and no address.
  if (client_.empty() && !pump_.peer().is_unix()) client_ = pump_.peer().host();
  return client_;
}

// `written`: when the kernel had taken its last byte; 0 if it never did.
void ServerConnection::release(Exchange& exchange, Time written) {
  if (exchange.stamping_) {
    exchange.stamps.stamp(Moment::written, written);
    auto const ended = written != 0 ? written : net::Reactor::clock();
    bool const has_body = exchange.head.method() != http::Method::head;
    sink_.request_done({exchange.stamps, ended, has_body ? exchange.bytes_out_ : 0,
                        exchange.status_, Words(exchange, *this), exchange.refused_});
  }
  // Counted last: whoever sees the count finds the request recorded.
  auto& counters = pump_.reactor().counters();
  if (exchange.body.is_too_large()) {
    counters.protocol_errors.add();
    counters.bodies_too_large.add();
  }
  if (written != 0) {
    counters.requests.add();
    if (exchange.status_ == 304) counters.answers_not_modified.add();
    if (exchange.status_ == 206) counters.answers_partial.add();
    if (exchange.native) counters.requests_native.add();
  } else {
    counters.requests_abandoned.add();
  }
  service_.on_done(exchange);
  if (auto* observer = exchange.observer_.load()) observer->on_released();
  Exchange::give(&exchange);
}

}  // namespace millrace::conn
