#include "millrace/server/server.hpp"

#include <ctime>

#include "millrace/net/stream.hpp"
#include "millrace/proto/http/content_encoding.hpp"

namespace millrace::server {

using base::Errc;
using base::Error;
using conn::Exchange;
using trace::Moment;

namespace {

std::size_t share_of(std::size_t bytes, double share) {
  return static_cast<std::size_t>(static_cast<double>(bytes) * share);
}

Handler& handler_of(const Exchange& exchange) { return *static_cast<Handler*>(exchange.subject); }

}  // namespace

// ----------------------------------------------------------------------------------------------
// set-up

Server::Server(Options options, Router router, LoopRunner* runner, exec::WorkerGuard* worker_guard,
               const MakeSink& make_sink, Filters filters)
    : options_(std::move(options)),
      router_(std::move(router)),
      filters_(std::move(filters)),
      protocol_(conn::find_protocol("h1")),
      host_(options_, *this, runner, worker_guard),
      admission_(
          options_.admission, [this](Exchange& exchange) { begin(exchange); },
          [this](Exchange& exchange) { answer_overloaded(exchange); }),
      body_memory_(
          {.most = options_.body_memory,
           .high_water_bytes = share_of(options_.body_memory, options_.body_memory_high_water),
           .promise = options_.connection.body_ahead_bytes,
           .patience = options_.admission.queue_timeout},
          [this](Exchange& exchange) { begin_body(exchange); },
          [this](Exchange& exchange) { answer_overloaded(exchange); }) {
  options_.connection.pump.stamps = options_.connection.journey;
  for (std::size_t i = 0; i < host_.loops().size(); ++i) {
    auto loop = std::make_unique<Loop>();
    loop->sink = make_sink(i);
    host_.loops()[i].each_second([date = &loop->date] { date->write(std::time(nullptr)); });
    loops_.push_back(std::move(loop));
  }
}

Server::~Server() {
  host_.stop_accepting();
  host_.stop_loops();
}

// ----------------------------------------------------------------------------------------------
// connections

void Server::open_connection(std::size_t index, int descriptor, const net::Peer& peer) {
  auto& reactor = host_.loops()[index];
  auto& loop = *loops_[index];
  auto codec = protocol_->make({proto::Side::server, options_.limits, &loop.date}, reactor.now());
  auto stream = net::make_socket_stream(reactor, descriptor, peer.endpoint,
                                        {.stamp_reads = options_.connection.journey,
                                         .quick_acks = options_.listening.socket.quickack == 1});
  auto* connection = new conn::ServerConnection(reactor, std::move(stream), std::move(codec), *this,
                                                *loop.sink, loop.connections, options_.connection);
  if (options_.connection.journey)
    loop.sink->connection_accepted({peer.ready, net::Reactor::clock()});
  connection->start();
}

void Server::refuse_connection(int descriptor) {
  static constexpr std::string_view answer =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: "
      "close\r\n\r\n";
  net::send_and_close(descriptor, answer);
}

void Server::go_away(std::size_t index) { loops_[index]->connections.go_away(); }

void Server::retire(std::size_t index) {
  loops_[index]->connections.go_away({http::GoAway::Idle::one_more});
}

void Server::abort_all(std::size_t index) {
  loops_[index]->connections.abort_all(Error{Errc::cancelled, {}, {}});
}

// ----------------------------------------------------------------------------------------------
// requests

void Server::on_exchange(Exchange& exchange) {
  // First, because what they add to answers is wanted on refusals too.
  if (!filters_.empty() && filters_.on_request(exchange) == Filter::Verdict::answered) return;
  switch (admission_.ask(exchange)) {
    case Admission::Answer::start:
      begin(exchange);
      return;
    case Admission::Answer::wait:
      if (exchange.stamping()) exchange.stamps.stamp(Moment::queued, net::Reactor::clock());
      return;
    case Admission::Answer::refuse:
      answer_overloaded(exchange);
      return;
  }
}

void Server::begin(Exchange& exchange) {
  auto match = router_.find(exchange);
  if (!match.handler) {
    answer_without_handler(exchange, match);
    return;
  }
  exchange.subject = match.handler;
  exchange.route = match.route;
  if (!exchange.head.has_body()) {
    start(exchange);
  } else if (!holds_memory(exchange) || body_memory_.may_begin(exchange)) {
    begin_body(exchange);
  } else if (exchange.stamping()) {
    exchange.stamps.stamp(Moment::queued, net::Reactor::clock());
  }
}

// Of bodies that flow to their reader only a window is held, which is the connection's.
bool Server::holds_memory(const Exchange& exchange) const {
  return handler_of(exchange).body() == Handler::Body::whole ||
         (options_.decompress && exchange.head.find("content-encoding"));
}

void Server::begin_body(Exchange& exchange) {
  auto const limit = exchange.body_limit();
  // As it is sent; what a coded one becomes counts too.
  bool const is_too_long = limit && exchange.head.content_length().value_or(0) > *limit;
  if (!is_too_long && options_.decompress && !decode_body(exchange)) return;
  if (is_too_long || handler_of(exchange).body() == Handler::Body::whole) {
    exchange.stamps.stamp(Moment::queued, 0);  // if it waited: it will again, for its body
    // Refuses what is too long; on_body() goes on.
    exchange.collect_body(limit.value_or(options_.body_bytes));
    return;
  }
  if (limit) exchange.body.limit(*limit);
  start(exchange);
}

// False: it has been answered, in a way that names what is understood (RFC 9110 15.5.16).
bool Server::decode_body(Exchange& exchange) {
  static const http::Fields what_is_known{{"Accept-Encoding", "gzip, deflate, br, zstd"}};
  auto const codings = http::content_codings(exchange.head, options_.decoding.codings);
  if (!codings) {
    exchange.home().counters().codings_refused.add();
    exchange.native = true;
    exchange.reply({.status = 415, .preset = &what_is_known, .fields = {}, .content_length = {}},
                   {});
    return false;
  }
  if (codings->empty()) return true;
  std::size_t windows = 0;
  for (auto const coding : *codings) windows += coding::window_bytes(coding);
  if (!hold(exchange, windows)) return false;
  exchange.decode_body(*codings, options_.decoding);
  return true;
}

void Server::on_body(Exchange& exchange) { start(exchange); }

// The pattern's third answer: who runs the handler.
void Server::start(Exchange& exchange) {
  auto& handler = handler_of(exchange);
  auto& stamps = exchange.stamps;
  auto* const queue = host_.loops().queue();
  if (!queue || handler.where() == Handler::Where::on_loop) {
    auto const body_complete = stamps[Moment::body_complete];
    auto const ready = body_complete ? body_complete : stamps[Moment::head_parsed];
    bool const has_waited = stamps[Moment::queued] != 0;
    stamps.stamp(Moment::handler_started, has_waited ? net::Reactor::clock() : ready);
    handler.handle(exchange);
    return;
  }
  if (exchange.stamping() && stamps[Moment::queued] == 0)
    stamps.stamp(Moment::queued, net::Reactor::clock());
  auto queued = queue->dispatch({&exchange, [](void* subject) {
                                   auto& x = *static_cast<Exchange*>(subject);
                                   if (x.stamping())
                                     x.stamps.stamp(Moment::handler_started, net::Reactor::clock());
                                   handler_of(x).handle(x);
                                 }});
  if (!queued) {
    answer_overloaded(exchange);
  }
}

bool Server::hold(Exchange& exchange, std::size_t bytes) {
  if (body_memory_.hold(exchange, bytes)) return true;
  exchange.home().counters().bodies_refused.add();
  answer_overloaded(exchange);
  return false;
}

void Server::on_done(Exchange& exchange) {
  WaitingLine::leave(exchange);
  body_memory_.leave(exchange);
  admission_.leave(exchange);
}

void Server::answer_overloaded(Exchange& exchange) {
  static const http::Fields retry_later{{"Retry-After", "1"}};
  exchange.stamps.stamp(Moment::queued, 0);
  exchange.home().counters().requests_refused.add();
  exchange.native = true;
  exchange.reply({.status = 503, .preset = &retry_later, .fields = {}, .content_length = {}}, {});
}

void Server::answer_without_handler(Exchange& exchange, const Router::Match& match) {
  static const http::Fields text{{"Content-Type", "text/plain; charset=utf-8"}};
  exchange.native = true;
  auto const method = exchange.head.method();
  if (method == http::Method::options &&
      exchange.head.path() == "*") {  // RFC 9110 9.3.7: the server as a whole
    exchange.reply({.status = 204, .preset = nullptr, .fields = {}, .content_length = {}}, {});
    return;
  }
  if (!match.path_exists) {
    exchange.reply({.status = 404, .preset = &text, .fields = {}, .content_length = {}},
                   base::Bytes::borrowed("Not Found"));
    return;
  }
  http::Fields fields{{"Allow", match.allow}};
  if (method == http::Method::options) {
    exchange.reply(
        {.status = 204, .preset = nullptr, .fields = std::move(fields), .content_length = {}}, {});
    return;
  }
  exchange.reply(
      {.status = 405, .preset = &text, .fields = std::move(fields), .content_length = {}},
      base::Bytes::borrowed("Method Not Allowed"));
}

}  // namespace millrace::server
