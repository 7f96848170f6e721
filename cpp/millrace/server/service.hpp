// What every server has, whatever it speaks: loops, addresses, and a life in steps.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "millrace/conn/connection_report.hpp"
#include "millrace/net/accept_queue.hpp"
#include "millrace/net/receive_queue.hpp"
#include "millrace/net/socket_options.hpp"
#include "millrace/server/ask_loops.hpp"

namespace millrace::server {

// A handler that keeps its thread for so long is named in the log, with its stack, by the language
// it is written in. Nobody waits that long for an answer; 0: none is.
inline constexpr base::Duration default_handler_stuck = base::seconds(10);

// What became of the options of one listening socket.
struct SocketReport {
  std::string endpoint;
  std::vector<net::SocketOptionOutcome> outcomes;
};

// What waits at one listening socket; the numbers are missing where the kernel does not say.
struct QueueReport {
  std::string endpoint;
  std::optional<net::AcceptQueue> queue;
};

// The same of a socket of UDP.
struct ReceiveQueueReport {
  std::string endpoint;
  std::optional<net::ReceiveQueue> queue;
};

using ConnectionReports = Told<conn::ConnectionReport>;

// Life: listen() -> run_loops() -> accept() -> stop_accepting() -> drain() -> stop_loops().
// Each step once, by one controlling thread; none on a loop.
class Service {
 public:
  virtual ~Service() = default;

  virtual base::Status listen() = 0;
  void run_loops() { loops().run(); }
  virtual base::Status accept() = 0;
  virtual void stop_accepting() = 0;
  // Idle connections close, busy ones get until `deadline` (clock of net::Reactor) to finish.
  // Returns what was still under way then.
  virtual std::size_t drain(base::Time deadline) = 0;
  // The same, but idle connections stay for one more request. Returns the connections that are
  // left.
  virtual std::size_t retire(base::Time deadline) = 0;
  virtual void stop_loops() = 0;  // breaks off what is left, joins the threads

  virtual Loops& loops() = 0;
  virtual const exec::Recipe& recipe() const = 0;
  virtual const std::vector<net::Endpoint>& endpoints() const = 0;  // after listen()
  // One per listening socket, as it was after listen(); outlives the sockets.
  virtual std::vector<SocketReport> socket_reports() const { return {}; }
  // One per listening socket; none when it has stopped accepting. Any thread.
  virtual std::vector<QueueReport> accept_queues() const { return {}; }
  // One per socket of UDP; none when they are closed. Any thread.
  virtual std::vector<ReceiveQueueReport> receive_queues() const { return {}; }
  // Asks every loop for its connections, at most so many of each. Any thread but a loop's, between
  // run_loops() and the destructor.
  virtual ConnectionReports connection_reports(std::size_t /*most*/, base::Time /*deadline*/) {
    return {};
  }
  // The listening sockets, bind by bind, for a successor of this process: theirs until they close.
  virtual std::vector<int> listening_descriptors() const { return {}; }
  // A successor listens from now on: Unix paths stay when the sockets close.
  virtual void leave_paths() {}
  virtual std::size_t connections() const { return 0; }  // any thread
  // Handlers' work under way. Any thread.
  virtual std::size_t in_flight() const = 0;
};

}  // namespace millrace::server
