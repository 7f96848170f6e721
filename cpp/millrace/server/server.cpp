#include "millrace/server/server.hpp"

#include <unistd.h>

#include <ctime>
#include <latch>

#include "millrace/net/stream.hpp"

namespace millrace::server {

using base::Errc;
using base::Error;
using base::Time;
using conn::Exchange;
using trace::Moment;

// ----------------------------------------------------------------------------------------------
// set-up

Server::Server(Options options, Router router, LoopRunner* runner, exec::WorkerGuard* worker_guard,
               const MakeSink& make_sink)
    : options_(std::move(options)),
      router_(std::move(router)),
      runner_(runner),
      protocol_(conn::find_protocol("h1")) {
  auto const& recipe = options_.recipe;
  options_.connection.pump.stamps = options_.connection.journey;
  owner_offset_ = recipe.separate_acceptor ? 1 : 0;
  for (std::size_t i = 0; i < recipe.loops + owner_offset_; ++i) {
    auto loop = std::make_unique<Loop>();
    loop->sink = make_sink(i);
    loop->reactor.each_second([date = &loop->date] { date->write(std::time(nullptr)); });
    loops_.push_back(std::move(loop));
  }
  std::vector<net::Reactor*> owners;
  for (std::size_t i = owner_offset_; i < loops_.size(); ++i) owners.push_back(&loops_[i]->reactor);
  placement_ = exec::make_placement(recipe.place, owners);
  if (recipe.run == exec::Run::on_workers) {
    queue_ = std::make_unique<exec::WorkerQueue>(
        exec::WorkerQueue::Options{recipe.workers, recipe.queue_capacity}, worker_guard);
    for (auto* owner : owners) owner->observe_turns(*queue_);
  }
}

Server::~Server() {
  stop_accepting();
  stop_loops();
}

base::Status Server::listen() {
  bool const per_loop = options_.recipe.accept == exec::Accept::socket_per_loop;
  auto const sockets_per_bind = per_loop ? loops_.size() : 1;
  for (auto const& text : options_.bind) {
    auto endpoint = net::Endpoint::parse(text);
    if (!endpoint) return endpoint.take_status();
    if (per_loop && endpoint->family() == AF_UNIX)
      return base::failure(
          Errc::invalid_option, {},
          text + ": a Unix path cannot be bound once per loop; use another accept");
    for (std::size_t i = 0; i < sockets_per_bind; ++i) {
      auto socket =
          net::ListenSocket::open(*endpoint, {.backlog = options_.backlog, .reuse_port = per_loop});
      if (!socket) return socket.take_status();
      if (i == 0) endpoints_.push_back(socket->endpoint());
      *endpoint =
          socket->endpoint();  // the port that the kernel chose for the first one is everybody's
      sockets_.push_back(std::move(*socket));
    }
  }
  return {};
}

void Server::run_loops() {
  running_ = true;
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    auto& loop = *loops_[i];
    loop.thread = std::thread([this, i, &loop] {
      if (runner_) {
        runner_->run(i, loop.reactor);
      } else {
        loop.reactor.run();
      }
    });
  }
}

// Which loops accept, and from which socket, is the pattern's first answer.
base::Status Server::accept() {
  auto const kind = options_.recipe.accept;
  auto const sockets_per_bind = kind == exec::Accept::socket_per_loop ? loops_.size() : 1;
  auto const loops_per_socket = kind == exec::Accept::shared_socket ? loops_.size() : 1;
  auto const wakeup =
      kind == exec::Accept::shared_socket ? options_.recipe.wakeup : net::Wakeup::epoll;
  for (std::size_t s = 0; s < sockets_.size(); ++s) {
    for (std::size_t l = 0; l < loops_per_socket; ++l) {
      auto const index = kind == exec::Accept::socket_per_loop ? s % sockets_per_bind : l;
      acceptors_.push_back(net::make_acceptor(loops_[index]->reactor, sockets_[s], wakeup,
                                              [this, index](int descriptor, const net::Peer& peer) {
                                                adopt(index, descriptor, peer);
                                              }));
    }
  }
  // An acceptor lives on its loop: it is started there.
  std::vector<base::Status> outcomes(acceptors_.size());
  on_acceptor_loops([&](std::size_t i) { outcomes[i] = acceptors_[i]->start(); });
  for (auto& outcome : outcomes)
    if (!outcome) return std::move(outcome);
  return {};
}

// Acceptors were made loop by loop within each socket, or socket by socket within each address:
// either way the loop's index is what remains.
void Server::on_acceptor_loops(const std::function<void(std::size_t)>& task) {
  auto const loops = options_.recipe.accept == exec::Accept::one_loop ? 1 : loops_.size();
  std::latch done(static_cast<std::ptrdiff_t>(acceptors_.size()));
  for (std::size_t i = 0; i < acceptors_.size(); ++i) {
    loops_[i % loops]->reactor.post([&, i] {
      task(i);
      done.count_down();
    });
  }
  done.wait();
}

// ----------------------------------------------------------------------------------------------
// connections

// On the accepting loop: the pattern's second answer, who owns the connection.
void Server::adopt(std::size_t accepting_loop, int descriptor, const net::Peer& peer) {
  auto& accepting = *loops_[accepting_loop];
  if (connections_.fetch_add(1, std::memory_order_relaxed) >= options_.max_connections) {
    connections_.fetch_sub(1, std::memory_order_relaxed);
    refuse_connection(accepting, descriptor);
    return;
  }
  auto& home = options_.recipe.place == exec::Place::accepting_loop
                   ? accepting
                   : *loops_[owner_offset_ + placement_->place(accepting_loop)];
  if (&home == &accepting) {
    open_connection(home, descriptor, peer);
    return;
  }
  home.reactor.post([this, &home, descriptor, peer] { open_connection(home, descriptor, peer); });
}

void Server::open_connection(Loop& loop, int descriptor, const net::Peer& peer) {
  if (loop.reactor.is_stopped()) {
    ::close(descriptor);
    on_connection_closed();
    return;
  }
  auto codec =
      protocol_->make({proto::Side::server, options_.limits, &loop.date}, loop.reactor.now());
  auto stream =
      net::make_socket_stream(loop.reactor, descriptor, peer.endpoint, options_.connection.journey);
  auto* connection =
      new conn::ServerConnection(loop.reactor, std::move(stream), std::move(codec), *this,
                                 *loop.sink, loop.connections, options_.connection);
  if (options_.connection.journey)
    loop.sink->connection_accepted({peer.ready, net::Reactor::clock()});
  connection->start();
}

void Server::refuse_connection(Loop& loop, int descriptor) {
  static constexpr std::string_view answer =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: "
      "close\r\n\r\n";
  loop.reactor.counters().connections_refused.add();
  net::send_and_close(descriptor, answer);
}

void Server::on_connection_closed() { connections_.fetch_sub(1, std::memory_order_relaxed); }

// ----------------------------------------------------------------------------------------------
// requests

void Server::on_exchange(Exchange& exchange) {
  if (in_flight_.fetch_add(1, std::memory_order_relaxed) >= options_.max_in_flight) {
    answer_overloaded(exchange);
    return;
  }
  auto match = router_.find(exchange);
  if (!match.handler) {
    answer_without_handler(exchange, match);
    return;
  }
  exchange.subject = match.handler;
  if (exchange.head.has_body() && match.handler->body() == Handler::Body::whole) {
    exchange.collect_body(options_.body_bytes);  // on_body() goes on
    return;
  }
  start(exchange);
}

void Server::on_body(Exchange& exchange) { start(exchange); }

// The pattern's third answer: who runs the handler.
void Server::start(Exchange& exchange) {
  auto* const handler = static_cast<Handler*>(exchange.subject);
  auto& stamps = exchange.stamps;
  if (!queue_ || handler->where() == Handler::Where::on_loop) {
    auto const body_complete = stamps[Moment::body_complete];
    stamps.stamp(Moment::handler_started,
                 body_complete ? body_complete : stamps[Moment::head_parsed]);
    handler->handle(exchange);
    return;
  }
  if (exchange.stamping()) stamps.stamp(Moment::queued, net::Reactor::clock());
  auto queued =
      queue_->dispatch({&exchange, [](void* subject) {
                          auto& x = *static_cast<Exchange*>(subject);
                          if (x.stamping())
                            x.stamps.stamp(Moment::handler_started, net::Reactor::clock());
                          static_cast<Handler*>(x.subject)->handle(x);
                        }});
  if (!queued) {
    stamps.stamp(Moment::queued, 0);
    answer_overloaded(exchange);
  }
}

void Server::on_done(Exchange&) { in_flight_.fetch_sub(1, std::memory_order_relaxed); }

void Server::answer_overloaded(Exchange& exchange) {
  static const http::Fields retry_later{{"Retry-After", "1"}};
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

// ----------------------------------------------------------------------------------------------
// the end

void Server::on_every_loop(const std::function<void(Loop&)>& task) {
  std::latch done(static_cast<std::ptrdiff_t>(loops_.size()));
  for (auto& loop : loops_) {
    loop->reactor.post([&] {
      task(*loop);
      done.count_down();
    });
  }
  done.wait();
}

void Server::stop_accepting() {
  // A blocking acceptor has a thread that only its stop() can end.
  if (running_) on_acceptor_loops([this](std::size_t i) { acceptors_[i]->stop(); });
  // What an acceptor had posted to its loop before stop() has run by the time this has.
  if (running_) on_every_loop([](Loop&) {});
  acceptors_.clear();
  sockets_.clear();
}

std::size_t Server::drain(Time deadline) {
  if (!running_) return 0;
  on_every_loop([](Loop& loop) { loop.connections.go_away(); });
  while (connections() > 0 && net::Reactor::clock() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return in_flight();
}

void Server::stop_loops() {
  if (!running_) return;
  running_ = false;
  on_every_loop([](Loop& loop) { loop.connections.abort_all(Error{Errc::cancelled, {}, {}}); });
  if (queue_) queue_->stop();
  // Handlers that were told to go get a moment for their clean-up; a reply after that finds no loop
  // to take it.
  auto const until = net::Reactor::clock() + base::seconds(1);
  while (in_flight() > 0 && net::Reactor::clock() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  for (auto& loop : loops_) loop->reactor.stop();
  for (auto& loop : loops_) loop->thread.join();
}

}  // namespace millrace::server
