#include "millrace/server/host.hpp"

#include <unistd.h>

#include <chrono>
#include <latch>

#include "millrace/server/listening.hpp"

namespace millrace::server {

Host::Host(const HostOptions& options, Tenant& tenant, LoopRunner* runner,
           exec::WorkerGuard* worker_guard)
    : options_(options),
      tenant_(tenant),
      loops_(options.recipe, runner, worker_guard),
      addresses_(options.max_connections_per_address) {
  std::vector<net::Reactor*> owners;
  for (std::size_t i = loops_.first_owner(); i < loops_.size(); ++i) owners.push_back(&loops_[i]);
  placement_ = exec::make_placement(options.recipe.place, owners);
}

// ----------------------------------------------------------------------------------------------
// the beginning

base::Status Host::listen() {
  bool const per_loop = options_.recipe.accept == exec::Accept::socket_per_loop;
  auto opened = open_sockets(options_.bind, per_loop ? loops_.size() : 0, options_.listening);
  if (!opened) return opened.take_status();
  std::lock_guard const guard(sockets_lock_);
  sockets_ = std::move(opened->sockets);
  for (auto const& socket : sockets_)
    reports_.push_back({socket.endpoint().to_string(), socket.outcomes()});
  endpoints_ = std::move(opened->endpoints);
  return {};
}

std::vector<QueueReport> Host::accept_queues() const {
  std::lock_guard const guard(sockets_lock_);
  std::vector<QueueReport> queues;
  for (auto const& socket : sockets_)
    queues.push_back({socket.endpoint().to_string(),
                      net::accept_queue(socket.descriptor(), socket.endpoint().family())});
  return queues;
}

ConnectionReports Host::connection_reports(std::size_t most, base::Time deadline) {
  return ask_loops<conn::ConnectionReport>(loops_, deadline, [this, most](auto i, auto& into) {
    tenant_.list_connections(i, most, into);
    for (auto& one : into) one.loop = i;
  });
}

std::vector<int> Host::listening_descriptors() const {
  std::lock_guard const guard(sockets_lock_);
  std::vector<int> descriptors;
  for (auto const& socket : sockets_) descriptors.push_back(socket.descriptor());
  return descriptors;
}

void Host::leave_paths() {
  std::lock_guard const guard(sockets_lock_);
  for (auto& socket : sockets_) socket.leave_path();
}

// Which loops accept, and from which socket, is the pattern's first answer.
base::Status Host::accept() {
  auto const kind = options_.recipe.accept;
  auto const sockets_per_bind = kind == exec::Accept::socket_per_loop ? loops_.size() : 1;
  auto const loops_per_socket = kind == exec::Accept::shared_socket ? loops_.size() : 1;
  auto const wakeup =
      kind == exec::Accept::shared_socket ? options_.recipe.wakeup : net::Wakeup::epoll;
  for (std::size_t s = 0; s < sockets_.size(); ++s) {
    for (std::size_t l = 0; l < loops_per_socket; ++l) {
      auto const index = kind == exec::Accept::socket_per_loop ? s % sockets_per_bind : l;
      acceptors_.push_back(net::make_acceptor(loops_[index], sockets_[s], wakeup,
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
  std::lock_guard const guard(sockets_lock_);
  for (auto& socket : sockets_) socket.take_path();
  return {};
}

// Acceptors were made loop by loop within each socket, or socket by socket within each address:
// either way the loop's index is what remains.
void Host::on_acceptor_loops(const std::function<void(std::size_t)>& task) {
  auto const loops = options_.recipe.accept == exec::Accept::one_loop ? 1 : loops_.size();
  std::latch done(static_cast<std::ptrdiff_t>(acceptors_.size()));
  for (std::size_t i = 0; i < acceptors_.size(); ++i) {
    loops_[i % loops].post([&, i] {
      task(i);
      done.count_down();
    });
  }
  done.wait();
}

// ----------------------------------------------------------------------------------------------
// connections

bool Host::has_room_for(const net::Endpoint& peer, trace::LoopCounters& counters) {
  if (connections_.fetch_add(1, std::memory_order_relaxed) >= options_.max_connections) {
    counters.connections_refused.add();
  } else if (!addresses_.add(peer)) {
    counters.connections_refused_address.add();
  } else {
    return true;
  }
  connections_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void Host::connection_closed(const net::Endpoint& peer) {
  addresses_.remove(peer);
  connections_.fetch_sub(1, std::memory_order_relaxed);
}

// On the accepting loop: the pattern's second answer, who owns the connection.
void Host::adopt(std::size_t accepting_loop, int descriptor, const net::Peer& peer) {
  if (!has_room_for(peer.endpoint, loops_[accepting_loop].counters())) {
    tenant_.refuse_connection(descriptor);
    return;
  }
  auto const home = options_.recipe.place == exec::Place::accepting_loop
                        ? accepting_loop
                        : loops_.first_owner() + placement_->place(accepting_loop);
  if (home == accepting_loop) {
    open_connection(home, descriptor, peer);
    return;
  }
  loops_[home].post([this, home, descriptor, peer] { open_connection(home, descriptor, peer); });
}

void Host::open_connection(std::size_t loop, int descriptor, const net::Peer& peer) {
  if (loops_[loop].is_stopped()) {
    ::close(descriptor);
    connection_closed(peer.endpoint);
    return;
  }
  tenant_.open_connection(loop, descriptor, peer);
}

// ----------------------------------------------------------------------------------------------
// the end

void Host::stop_accepting() {
  // A blocking acceptor has a thread that only its stop() can end.
  if (loops_.is_running()) on_acceptor_loops([this](std::size_t i) { acceptors_[i]->stop(); });
  // What an acceptor had posted to its loop before stop() has run by the time this has.
  if (loops_.is_running()) loops_.on_every_loop([](std::size_t) {});
  acceptors_.clear();
  std::lock_guard const guard(sockets_lock_);
  sockets_.clear();
}

std::size_t Host::drain(base::Time deadline) {
  say_and_wait(&Tenant::go_away, deadline);
  return tenant_.in_flight();
}

std::size_t Host::retire(base::Time deadline) {
  say_and_wait(&Tenant::retire, deadline);
  return connections();
}

void Host::say_and_wait(void (Tenant::*say)(std::size_t loop), base::Time deadline) {
  if (!loops_.is_running()) return;
  loops_.on_every_loop([this, say](std::size_t loop) { (tenant_.*say)(loop); });
  while (connections() > 0 && net::Reactor::clock() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

void Host::stop_loops() {
  if (!loops_.is_running()) return;
  loops_.on_every_loop([this](std::size_t loop) { tenant_.abort_all(loop); });
  if (auto* const queue = loops_.queue()) queue->stop();
  // Handlers that were told to go get a moment for their clean-up; a reply after that finds no loop
  // to take it.
  auto const until = net::Reactor::clock() + base::seconds(1);
  while (tenant_.in_flight() > 0 && net::Reactor::clock() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  loops_.stop();
}

}  // namespace millrace::server
