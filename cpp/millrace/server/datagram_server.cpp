#include "millrace/server/datagram_server.hpp"

#include <chrono>
#include <thread>
#include <utility>

namespace millrace::server {

using Outcome = DatagramHandler::Outcome;

// A datagram on its way to a worker, and the answer on its way home.
class DatagramServer::Call final : public net::Letter {
 public:
  explicit Call(Loop& home) : home(home) {
    open = [](net::Letter& letter) { static_cast<Call&>(letter).come_home(); };
  }
  void run();  // on a worker
  void come_home();

  Loop& home;
  net::DatagramSocket* socket = nullptr;
  net::Endpoint from;
  std::string datagram, answer;
  Outcome outcome = Outcome::silent;
};

// What a loop has; home loop only.
class DatagramServer::Loop final : public net::TurnObserver {
 public:
  Loop(DatagramServer& server, std::size_t index)
      : server(server), reactor(server.loops_[index]), buffers_(server.options_.datagrams.batch) {
    reactor.observe_turns(*this);
  }
  ~Loop() override { reactor.forget_turns(*this); }

  base::Status start() {
    for (auto const& socket : sockets) {
      auto status =
          socket->start(reactor, buffers_,
                        [this](net::DatagramSocket& from_socket, base::ByteView datagram,
                               const net::Endpoint& from) { take(from_socket, datagram, from); });
      if (!status) return status;
    }
    return {};
  }
  void stop_reading() {
    for (auto const& socket : sockets) socket->stop_reading();
  }
  void end_of_turn() override {
    for (auto const& socket : sockets) socket->flush();
  }
  void answer(net::DatagramSocket& socket, const net::Endpoint& to, Outcome outcome,
              base::ByteView bytes) {
    if (outcome == Outcome::answered) socket.send(to, bytes);
    if (outcome == Outcome::failed) reactor.counters().requests_failed.add();
  }
  void recycle(Call& call) { idle_.emplace_back(&call); }

  DatagramServer& server;
  net::Reactor& reactor;
  std::vector<std::unique_ptr<net::DatagramSocket>> sockets;

 private:
  void take(net::DatagramSocket& socket, base::ByteView datagram, const net::Endpoint& from) {
    if (server.loops_.queue()) return dispatch(socket, datagram, from);
    answer_.clear();
    auto const outcome = server.handler_.handle(datagram, from, answer_);
    answer(socket, from, outcome, answer_);
  }
  void dispatch(net::DatagramSocket& socket, base::ByteView datagram, const net::Endpoint& from);

  net::DatagramBuffers buffers_;
  std::string answer_;
  std::vector<std::unique_ptr<Call>> idle_;  // to be used again
};

void DatagramServer::Loop::dispatch(net::DatagramSocket& socket, base::ByteView datagram,
                                    const net::Endpoint& from) {
  if (idle_.empty()) idle_.push_back(std::make_unique<Call>(*this));
  auto& call = *idle_.back();
  call.socket = &socket;
  call.from = from;
  call.datagram = datagram;
  auto const queued = server.loops_.queue()->dispatch(
      {&call, [](void* subject) { static_cast<Call*>(subject)->run(); }});
  if (!queued) {
    reactor.counters().datagrams_dropped.add();
    return;
  }
  reactor.counters().bytes_copied.add(datagram.size());
  server.in_flight_.fetch_add(1, std::memory_order_relaxed);
  (void)idle_.back().release();  // its own until it comes home
  idle_.pop_back();
}

void DatagramServer::Call::run() {
  answer.clear();
  outcome = home.server.handler_.handle(datagram, from, answer);
  home.reactor.deliver(*this);
}

void DatagramServer::Call::come_home() {
  auto& in_flight = home.server.in_flight_;
  home.answer(*socket, from, outcome, answer);
  home.recycle(*this);
  in_flight.fetch_sub(1, std::memory_order_relaxed);
}

// ----------------------------------------------------------------------------------------------
// life

base::Status DatagramServer::check(const DatagramServerOptions& options) {
  auto const refused = [](std::string why) {
    return base::failure(base::Errc::invalid_option, {}, std::move(why));
  };
  auto const& recipe = options.recipe;
  bool const is_one_loop = recipe.accept == exec::Accept::one_loop && recipe.loops == 1;
  bool const is_sharded = recipe.accept == exec::Accept::socket_per_loop;
  if (recipe.separate_acceptor || recipe.place != exec::Place::accepting_loop ||
      !(is_one_loop || is_sharded))
    return refused("pattern '" + recipe.name +
                   "': datagrams have no connections to accept and to place on loops; use "
                   "single_thread, reuseport_shards or acceptor_queue_workers with one loop");
  auto const& limits = options.datagrams;
  if (limits.batch == 0 || limits.batch > 1024)
    return refused("batch is " + std::to_string(limits.batch) +
                   ": from 1 to 1024, see recvmmsg(2)");
  if (limits.datagram_bytes == 0 || limits.unsent_datagrams == 0)
    return refused("datagram_bytes and unsent_datagrams are limits: more than zero");
  return exec::check(recipe);
}

DatagramServer::DatagramServer(DatagramServerOptions options, DatagramHandler& handler,
                               LoopRunner* runner, exec::WorkerGuard* worker_guard)
    : options_(std::move(options)),
      handler_(handler),
      loops_(options_.recipe, runner, worker_guard) {
  for (std::size_t i = 0; i < loops_.size(); ++i)
    homes_.push_back(std::make_unique<Loop>(*this, i));
}

DatagramServer::~DatagramServer() { stop_loops(); }

base::Status DatagramServer::listen() {
  auto options = options_.datagrams;
  options.reuse_port = loops_.size() > 1;
  for (auto const& bind : options_.bind) {
    auto at = net::Endpoint::parse(bind);
    if (!at) return at.take_status();
    for (auto const& home : homes_) {
      auto socket = net::DatagramSocket::open(*at, options);
      if (!socket) return socket.take_status();
      *at = (*socket)->endpoint();  // the port that the kernel chose for the first is everybody's
      home->sockets.push_back(std::move(*socket));
    }
    endpoints_.push_back(*at);
  }
  return {};
}

base::Status DatagramServer::accept() {
  std::vector<base::Status> outcomes(homes_.size());
  loops_.on_every_loop([&](std::size_t i) { outcomes[i] = homes_[i]->start(); });
  for (auto& outcome : outcomes)
    if (!outcome) return std::move(outcome);
  return {};
}

void DatagramServer::stop_accepting() {
  if (loops_.is_running())
    loops_.on_every_loop([this](std::size_t i) { homes_[i]->stop_reading(); });
}

std::size_t DatagramServer::drain(base::Time deadline) {
  while (in_flight() > 0 && net::Reactor::clock() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return in_flight();
}

void DatagramServer::stop_loops() {
  if (!loops_.is_running()) return;
  stop_accepting();
  if (auto* const queue = loops_.queue()) queue->stop();
  // Every call has been run, and its answer is on its way.
  drain(net::Reactor::clock() + base::seconds(1));
  loops_.stop();
  for (auto const& home : homes_) home->sockets.clear();
}

}  // namespace millrace::server
