// The server of UDP: datagrams to one handler, its answers back.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "millrace/net/datagram_socket.hpp"
#include "millrace/server/service.hpp"

namespace millrace::server {

// What is done with datagrams. Lives as long as the server.
class DatagramHandler {
 public:
  enum class Outcome : std::uint8_t { answered, silent, failed };
  virtual ~DatagramHandler() = default;
  // Where the pattern says. `answer` is empty before.
  virtual Outcome handle(base::ByteView datagram, const net::Endpoint& from,
                         std::string& answer) = 0;
};

// Sends every datagram back, without entering any language run-time.
class DatagramEcho final : public DatagramHandler {
 public:
  Outcome handle(base::ByteView datagram, const net::Endpoint&, std::string& answer) override {
    answer = datagram;
    return Outcome::answered;
  }
};

struct DatagramServerOptions {
  std::vector<std::string> bind{"127.0.0.1:0"};
  exec::Recipe recipe;
  net::DatagramOptions datagrams;  // reuse_port is the pattern's to say
};

// Answers leave at the end of the turn that brought them about, with one sendmmsg per socket. Where
// handlers run on workers and their queue is full, a datagram is dropped and counted.
class DatagramServer final : public Service {
 public:
  // Errc::invalid_option for limits of 0, and for a pattern that places connections.
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
  std::size_t in_flight() const override { return in_flight_.load(std::memory_order_relaxed); }

 private:
  class Loop;
  class Call;

  const DatagramServerOptions options_;
  DatagramHandler& handler_;
  std::atomic<std::size_t> in_flight_{0};
  std::vector<net::Endpoint> endpoints_;
  Loops loops_;
  std::vector<std::unique_ptr<Loop>> homes_;  // by loop
};

}  // namespace millrace::server
