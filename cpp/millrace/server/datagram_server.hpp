// The server of UDP: datagrams to one handler, its answers back.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "millrace/server/datagram_handler.hpp"
#include "millrace/server/service.hpp"

namespace millrace::server {

struct DatagramServerOptions {
  std::vector<std::string> bind{"127.0.0.1:0"};
  exec::Recipe recipe;
  net::DatagramOptions datagrams;  // reuse_port is the pattern's to say
  // Of a handler that answers later: calls under way; one more datagram is dropped and counted.
  // Each holds its datagram and a task, a few kB and up to 64 kB more. As many as answers may wait.
  std::size_t calls = 1024;
  base::Duration handler_stuck = default_handler_stuck;
};

// Answers leave at the end of the turn that brought them about, with one sendmmsg per socket;
// drain() waits for those the kernel has no room for, and what is left when the sockets close is
// counted as dropped. Where handlers run on workers and their queue is full, a datagram is dropped
// and counted. Handlers that answer later are begun on the loop that read, whatever the pattern
// says of running them.
class DatagramServer final : public Service {
 public:
  // Errc::invalid_option for limits of 0, socket options of TCP, and a pattern that places
  // connections.
  static base::Status check(const DatagramServerOptions& options);

  // check() has accepted the options. The handler outlives the server.
  DatagramServer(DatagramServerOptions options, DatagramHandler& handler, LoopRunner* runner,
                 exec::WorkerGuard* worker_guard);
  ~DatagramServer() override;

  base::Status listen() override;
  base::Status accept() override;
  void stop_accepting() override;
  std::size_t drain(base::Time deadline) override;
  std::size_t retire(base::Time deadline) override { return drain(deadline); }
  void stop_loops() override;

  Loops& loops() override { return loops_; }
  const exec::Recipe& recipe() const override { return options_.recipe; }
  const std::vector<net::Endpoint>& endpoints() const override { return endpoints_; }
  std::vector<SocketReport> socket_reports() const override { return reports_; }
  std::vector<ReceiveQueueReport> receive_queues() const override;
  // Calls under way, and answers that the kernel has not taken.
  std::size_t in_flight() const override;

 private:
  class Loop;
  void close_sockets();  // no loop runs

  const DatagramServerOptions options_;
  DatagramHandler& handler_;
  // The calls' too, which may outlive it.
  const std::shared_ptr<DatagramCalls> calls_ = std::make_shared<DatagramCalls>();
  mutable std::mutex sockets_lock_;  // only their coming and going, and those who look at them
  std::vector<net::Endpoint> endpoints_;
  std::vector<SocketReport> reports_;
  Loops loops_;
  std::vector<std::unique_ptr<Loop>> homes_;  // by loop
};

}  // namespace millrace::server
