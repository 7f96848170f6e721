// The server: loops, listening sockets, connections, and the service that joins router and
// dispatch.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "millrace/conn/protocols.hpp"
#include "millrace/conn/server_connection.hpp"
#include "millrace/exec/pattern.hpp"
#include "millrace/exec/worker_queue.hpp"
#include "millrace/proto/http/limits.hpp"
#include "millrace/server/router.hpp"

namespace millrace::server {

struct Options {
  std::vector<std::string> bind{"127.0.0.1:0"};  // see net::Endpoint::parse
  exec::Recipe recipe;
  http::Limits limits;
  conn::ServerConnectionOptions connection;
  // Connections the kernel may keep until we accept.
  int backlog = 1024;
  // Bytes of a body that is buffered for a plain function; more is 413. Streamed bodies have no
  // limit but their reader.
  std::size_t body_bytes = 16 * 1024 * 1024;
  // Open connections; one more is answered 503 and closed. Each idle one costs about 2 kB, and a
  // descriptor.
  std::size_t max_connections = 10'000;
  // Requests being answered; one more is answered 503 with Retry-After.
  std::size_t max_in_flight = 10'000;
};

// How a loop's thread runs it: the default calls reactor.run(). A language run-time brings its own.
class LoopRunner {
 public:
  virtual ~LoopRunner() = default;
  // On the loop's own thread; returns after reactor.stop().
  virtual void run(std::size_t index, net::Reactor& reactor) = 0;
};

// Per-loop sink factory's product: who records the journey. Index as the loop's.
using MakeSink = std::function<std::unique_ptr<trace::Sink>(std::size_t index)>;

// Life: Server -> listen() -> run_loops() -> accept() -> stop_accepting() -> drain() ->
// stop_loops(). Each step once, by one controlling thread; none on a loop. The destructor does what
// is left, without waiting for requests.
class Server final : public conn::Service {
 public:
  Server(Options options, Router router, LoopRunner* runner, exec::WorkerGuard* worker_guard,
         const MakeSink& make_sink);
  ~Server() override;

  base::Status listen();
  void run_loops();
  base::Status accept();
  void stop_accepting();
  // Idle connections close, busy ones get until `deadline` (clock of net::Reactor) to finish.
  // Returns the number of requests that were still open then.
  std::size_t drain(base::Time deadline);
  void stop_loops();  // breaks off what is left, joins the threads

  const std::vector<net::Endpoint>& endpoints() const { return endpoints_; }  // after listen()
  std::size_t loop_count() const { return loops_.size(); }
  net::Reactor& loop(std::size_t index) { return loops_[index]->reactor; }
  trace::Sink& sink(std::size_t index) { return *loops_[index]->sink; }
  const exec::WorkerQueue* queue() const {
    return queue_.get();
  }  // null where handlers run on loops
  std::size_t in_flight() const { return in_flight_.load(std::memory_order_relaxed); }
  std::size_t connections() const { return connections_.load(std::memory_order_relaxed); }
  const Options& options() const { return options_; }

  // conn::Service
  void on_exchange(conn::Exchange& exchange) override;
  void on_body(conn::Exchange& exchange) override;
  void on_done(conn::Exchange& exchange) override;
  void on_connection_closed() override;

 private:
  struct Loop {
    net::Reactor reactor;
    http::DateField date;
    conn::ConnectionSet connections;
    std::unique_ptr<trace::Sink> sink;
    std::thread thread;
  };
  void adopt(std::size_t accepting_loop, int descriptor, const net::Peer& peer);
  void open_connection(Loop& loop, int descriptor, const net::Peer& peer);
  void refuse_connection(Loop& loop, int descriptor);
  void start(conn::Exchange& exchange);
  void answer_overloaded(conn::Exchange& exchange);
  void answer_without_handler(conn::Exchange& exchange, const Router::Match& match);
  // Runs the task for each acceptor on its loop, and waits.
  void on_acceptor_loops(const std::function<void(std::size_t acceptor)>& task);
  // Runs the task on every loop and waits for it.
  void on_every_loop(const std::function<void(Loop&)>& task);

  Options options_;
  Router router_;
  LoopRunner* runner_;
  const conn::Protocol* protocol_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::vector<net::ListenSocket> sockets_;
  std::vector<std::unique_ptr<net::Acceptor>> acceptors_;
  std::vector<net::Endpoint> endpoints_;
  std::unique_ptr<exec::Placement> placement_;
  std::unique_ptr<exec::WorkerQueue> queue_;
  std::atomic<std::size_t> in_flight_{0};
  std::atomic<std::size_t> connections_{0};
  std::size_t owner_offset_ = 0;  // loops before it only accept
  bool running_ = false;
};

}  // namespace millrace::server
