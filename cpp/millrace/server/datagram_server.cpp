#include "millrace/server/datagram_server.hpp"

#include <chrono>
#include <functional>
#include <thread>
#include <utility>

#include "millrace/server/listening.hpp"

namespace millrace::server {

using Outcome = DatagramHandler::Outcome;

namespace {

// What a string of a call that is used again may hold on to: a datagram as Ethernet carries it.
constexpr std::size_t kept_bytes = 2048;

void give_back(std::string& text) {
  if (text.capacity() > kept_bytes) std::string().swap(text);
}

void wait_until(base::Time deadline, const std::function<bool()>& is_done) {
  while (!is_done() && net::Reactor::clock() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

// What a loop has; home loop only.
class DatagramServer::Loop final : public net::TurnObserver, public DatagramHome {
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
    std::size_t left = 0;
    for (auto const& socket : sockets) {
      socket->flush();
      left += socket->unsent();
    }
    unsent_.set(left);
  }
  void answer(net::DatagramSocket& socket, const net::Endpoint& to, Outcome outcome,
              base::ByteView bytes) {
    if (outcome == Outcome::failed) reactor.counters().requests_failed.add();
    if (outcome != Outcome::answered) return;
    socket.send(to, bytes);
    // At once: an answer that came home is no call under way any more. The turn's end corrects it.
    unsent_.add();
  }
  // Answers that are still to leave. Any thread.
  std::size_t unsent() const { return unsent_.get(); }
  // No loop runs any more: what is left will never have room.
  void close_sockets() {
    for (auto const& socket : sockets) reactor.counters().datagrams_dropped.add(socket->unsent());
    sockets.clear();
    unsent_.set(0);
  }

  DatagramServer& server;
  net::Reactor& reactor;
  std::vector<std::unique_ptr<net::DatagramSocket>> sockets;

 private:
  void take(net::DatagramSocket& socket, base::ByteView datagram, const net::Endpoint& from) {
    if (server.handler_.form() == DatagramHandler::Form::later)
      return begin(socket, datagram, from);
    if (server.loops_.queue()) return dispatch(socket, datagram, from);
    answer_.clear();
    auto const outcome = server.handler_.handle(datagram, from, answer_);
    answer(socket, from, outcome, answer_);
  }
  void begin(net::DatagramSocket& socket, base::ByteView datagram, const net::Endpoint& from);
  void dispatch(net::DatagramSocket& socket, base::ByteView datagram, const net::Endpoint& from);
  std::unique_ptr<DatagramCall> make_call(net::DatagramSocket& socket, base::ByteView datagram,
                                          const net::Endpoint& from);
  void keep(std::unique_ptr<DatagramCall> call);
  static void run(DatagramCall& call);  // on a worker
  void on_done(std::unique_ptr<DatagramCall> call) override;

  net::DatagramBuffers buffers_;
  std::string answer_;
  trace::Counter unsent_;
  std::vector<std::unique_ptr<DatagramCall>> idle_;  // to be used again
};

std::unique_ptr<DatagramCall> DatagramServer::Loop::make_call(net::DatagramSocket& socket,
                                                              base::ByteView datagram,
                                                              const net::Endpoint& from) {
  std::unique_ptr<DatagramCall> call;
  if (idle_.empty()) {
    call = std::make_unique<DatagramCall>(*this, reactor, server.calls_);
  } else {
    call = std::move(idle_.back());
    idle_.pop_back();
  }
  call->socket = &socket;
  call->from = from;
  call->datagram = datagram;
  call->answer.clear();
  return call;
}

// No more than one read brings, so that a burst leaves nothing behind.
void DatagramServer::Loop::keep(std::unique_ptr<DatagramCall> call) {
  if (idle_.size() >= server.options_.datagrams.batch) return;
  give_back(call->datagram);
  give_back(call->answer);
  idle_.push_back(std::move(call));
}

void DatagramServer::Loop::begin(net::DatagramSocket& socket, base::ByteView datagram,
                                 const net::Endpoint& from) {
  auto& under_way = server.calls_->under_way;  // of all loops
  if (under_way.fetch_add(1, std::memory_order_relaxed) >= server.options_.calls) {
    under_way.fetch_sub(1, std::memory_order_relaxed);
    reactor.counters().datagrams_dropped.add();
    return;
  }
  reactor.counters().bytes_copied.add(datagram.size());
  server.handler_.begin(make_call(socket, datagram, from));
}

void DatagramServer::Loop::dispatch(net::DatagramSocket& socket, base::ByteView datagram,
                                    const net::Endpoint& from) {
  auto call = make_call(socket, datagram, from);
  server.calls_->under_way.fetch_add(1, std::memory_order_relaxed);
  auto const queued = server.loops_.queue()->dispatch(
      {call.get(), [](void* subject) { run(*static_cast<DatagramCall*>(subject)); }});
  if (!queued) {
    reactor.counters().datagrams_dropped.add();
    server.calls_->under_way.fetch_sub(1, std::memory_order_relaxed);
    keep(std::move(call));
    return;
  }
  reactor.counters().bytes_copied.add(datagram.size());
  (void)call.release();  // its own until it comes home
}

void DatagramServer::Loop::run(DatagramCall& call) {
  auto& handler = static_cast<Loop&>(call.home()).server.handler_;
  auto const outcome = handler.handle(call.datagram, call.from, call.answer);
  DatagramCall::finish(std::unique_ptr<DatagramCall>(&call), outcome);
}

void DatagramServer::Loop::on_done(std::unique_ptr<DatagramCall> call) {
  answer(*call->socket, call->from, call->outcome, call->answer);
  keep(std::move(call));
  server.calls_->under_way.fetch_sub(1, std::memory_order_release);  // see in_flight()
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
  if (limits.datagram_bytes == 0 || limits.unsent_datagrams == 0 || options.calls == 0)
    return refused("datagram_bytes, unsent_datagrams and calls are limits: more than zero");
  if (auto status = net::check_for_datagrams(limits.socket, net::DatagramSide::server); !status)
    return status;
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
  bool const per_loop = options_.recipe.accept == exec::Accept::socket_per_loop;
  options.reuse_port = per_loop;
  auto opened =
      open_each(options_.bind, per_loop ? loops_.size() : 0,
                [&](const net::Endpoint& at, std::size_t loop) -> base::Result<net::Endpoint> {
                  options.index = loop;
                  auto socket = net::DatagramSocket::open(at, options);
                  if (!socket) return socket.take_error();
                  auto const endpoint = (*socket)->endpoint();
                  std::lock_guard const guard(sockets_lock_);
                  reports_.push_back({endpoint.to_string(), (*socket)->outcomes()});
                  homes_[loop]->sockets.push_back(std::move(*socket));
                  return endpoint;
                });
  if (!opened) {
    close_sockets();
    reports_.clear();
    return opened.take_status();
  }
  endpoints_ = std::move(*opened);
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

// Who sees a call gone sees its answer among the unsent.
std::size_t DatagramServer::in_flight() const {
  auto count = calls_->under_way.load(std::memory_order_acquire);
  for (auto const& home : homes_) count += home->unsent();
  return count;
}

std::size_t DatagramServer::drain(base::Time deadline) {
  wait_until(deadline, [this] { return in_flight() == 0; });
  return in_flight();
}

// Bind by bind, as the reports.
std::vector<ReceiveQueueReport> DatagramServer::receive_queues() const {
  std::lock_guard const guard(sockets_lock_);
  std::vector<ReceiveQueueReport> queues;
  for (std::size_t bind = 0; bind < homes_.front()->sockets.size(); ++bind)
    for (auto const& home : homes_)
      if (bind < home->sockets.size())
        queues.push_back({home->sockets[bind]->endpoint().to_string(),
                          net::receive_queue(home->sockets[bind]->descriptor())});
  return queues;
}

void DatagramServer::close_sockets() {
  std::lock_guard const guard(sockets_lock_);
  for (auto const& home : homes_) home->close_sockets();
}

void DatagramServer::stop_loops() {
  if (!loops_.is_running()) return close_sockets();
  stop_accepting();
  if (auto* const queue = loops_.queue()) queue->stop();
  // Every call on a worker has been run, and its answer is on its way. Others get a moment for
  // their clean-up; an answer after that finds no loop to take it.
  handler_.cancel();
  wait_until(net::Reactor::clock() + base::seconds(1),
             [this] { return calls_->under_way.load(std::memory_order_relaxed) == 0; });
  {
    std::lock_guard const guard(calls_->lock);
    calls_->can_come_home = false;
  }
  loops_.stop();
  close_sockets();
}

}  // namespace millrace::server
