// The life of a server, whatever it speaks: listening sockets, who accepts, who owns, and the order
// in which all of it begins and ends.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "millrace/net/listener.hpp"
#include "millrace/server/address_table.hpp"
#include "millrace/server/service.hpp"

namespace millrace::server {

struct HostOptions {
  std::vector<std::string> bind{"127.0.0.1:0"};  // see net::Endpoint::parse_list
  exec::Recipe recipe;
  net::ListenSocket::Options listening;  // reuse_port is the pattern's to say
  // Open connections; one more is refused. Each idle one costs about 2 kB, and a descriptor.
  std::size_t max_connections = 10'000;
  // Of these, from one client address: an IPv4 address, or an IPv6 /64, which is what one customer
  // gets. 0: no limit, since behind a proxy, or a company's NAT, all clients have the same.
  std::size_t max_connections_per_address = 0;
  base::Duration handler_stuck = default_handler_stuck;
};

class Host;

// What speaks on the connections of a host, and owns it. Home loop only, unless said otherwise.
class Tenant {
 public:
  virtual ~Tenant() = default;
  virtual Host& host() = 0;
  // Takes the descriptor over, and calls Host::connection_closed() when it is done with it.
  virtual void open_connection(std::size_t loop, int descriptor, const net::Peer& peer) = 0;
  // There are too many; takes the descriptor over. On the accepting loop.
  virtual void refuse_connection(int descriptor) = 0;
  // The loop's idle connections close, busy ones when they are done.
  virtual void go_away(std::size_t loop) = 0;
  // The same, but idle ones stay for one more request where the protocol can say that it is the
  // last. May be called again, for those that could not be told.
  virtual void retire(std::size_t loop) { go_away(loop); }
  // Breaks off all that are left on the loop.
  virtual void abort_all(std::size_t loop) = 0;
  // Adds at most so many of the loop's connections; which loop it is, the host knows.
  virtual void list_connections(std::size_t loop, std::size_t most,
                                std::vector<conn::ConnectionReport>& into) = 0;
  // Handlers' work under way. Any thread.
  virtual std::size_t in_flight() const = 0;
};

// The tenant, which outlives the host's running, takes it down in its own destructor.
class Host final : public Service {
 public:
  Host(const HostOptions& options, Tenant& tenant, LoopRunner* runner,
       exec::WorkerGuard* worker_guard);
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  base::Status listen() override;
  base::Status accept() override;
  void stop_accepting() override;
  std::size_t drain(base::Time deadline) override;
  std::size_t retire(base::Time deadline) override;
  void stop_loops() override;

  const std::vector<net::Endpoint>& endpoints() const override { return endpoints_; }
  std::vector<SocketReport> socket_reports() const override { return reports_; }
  std::vector<QueueReport> accept_queues() const override;
  ConnectionReports connection_reports(std::size_t most, base::Time deadline) override;
  std::vector<int> listening_descriptors() const override;
  void leave_paths() override;
  Loops& loops() override { return loops_; }
  const Loops& loops() const { return loops_; }
  const exec::Recipe& recipe() const override { return options_.recipe; }
  const HostOptions& options() const { return options_; }
  std::size_t connections() const override { return connections_.load(std::memory_order_relaxed); }
  std::size_t in_flight() const override { return tenant_.in_flight(); }
  // Any thread.
  void connection_closed(const net::Endpoint& peer);

 private:
  bool has_room_for(const net::Endpoint& peer, trace::LoopCounters& counters);
  void adopt(std::size_t accepting_loop, int descriptor, const net::Peer& peer);
  void open_connection(std::size_t loop, int descriptor, const net::Peer& peer);
  void say_and_wait(void (Tenant::*say)(std::size_t loop), base::Time deadline);
  // Runs the task for each acceptor on its loop, and waits.
  void on_acceptor_loops(const std::function<void(std::size_t acceptor)>& task);

  const HostOptions& options_;
  Tenant& tenant_;
  Loops loops_;
  mutable std::mutex sockets_lock_;  // only their coming and going, and those who look at them
  std::vector<net::ListenSocket> sockets_;
  std::vector<std::unique_ptr<net::Acceptor>> acceptors_;
  std::vector<net::Endpoint> endpoints_;
  std::vector<SocketReport> reports_;
  std::unique_ptr<exec::Placement> placement_;
  std::atomic<std::size_t> connections_{0};
  AddressTable addresses_;
};

}  // namespace millrace::server
