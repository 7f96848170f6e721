// A server with handlers in Python: what holds its parts together and takes them down in order.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "ref.hpp"
#include "stream_handlers.hpp"

#include "millrace/observe/metrics.hpp"
#include "millrace/observe/request_recorder.hpp"
#include "millrace/server/datagram_server.hpp"
#include "millrace/server/server.hpp"

namespace millrace::python {

// A row of the router as Python writes it.
struct RouteRow {
  std::vector<std::string> methods;
  std::string pattern;
  std::string kind;
  Ref target;
};

struct AppHooks {
  Ref app, on_exception, on_background;
  Ref form_limits;
};

// What is done with the connections of a plain TCP server, and with the datagrams of UDP.
struct HandlerTarget {
  enum class Kind : std::uint8_t { function, coroutine, echo };
  Kind kind = Kind::echo;
  Ref callable;  // empty for an echo, which never enters Python
};

// What is under way, for people: "GET /path" and when it came, in seconds of CLOCK_MONOTONIC, and
// how many loops did not answer.
struct WorkUnderWay {
  std::vector<std::pair<std::string, double>> oldest;
  std::size_t silent_loops = 0;
};

// Made, used and destroyed with the GIL held, which it gives up wherever it waits. One controlling
// thread at a time, none of the server's own. Where a function says so, it may fail with a Python
// exception raised.
class Engine {
 public:
  // Makes the handler of a row whose kind is not ours; null: not its kind either.
  using MakeHandler = std::unique_ptr<server::Handler> (*)(const RouteRow& row);

  static base::Result<std::unique_ptr<Engine>> make(server::Options options,
                                                    const std::vector<RouteRow>& rows,
                                                    const AppHooks& hooks,
                                                    observe::RecorderOptions recorders,
                                                    MakeHandler make_other);
  // Of plain TCP. Null and a Python exception raised where asyncio fails.
  static base::Result<std::unique_ptr<Engine>> make_stream(server::StreamServerOptions options,
                                                           const HandlerTarget& target,
                                                           MakeConnection make_connection);
  // Of UDP; as make_stream().
  static base::Result<std::unique_ptr<Engine>> make_datagram(server::DatagramServerOptions options,
                                                             const HandlerTarget& target);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  // Stops it. On one of its own threads, which cannot wait for themselves, another one does.
  ~Engine();

  // --- server::Service's life
  base::Status listen();
  base::Status run_loops();  // or a Python exception, where asyncio fails
  base::Status accept();
  base::Status stop_accepting();
  // Or a Python exception, which a signal's handler raised.
  base::Result<std::size_t> drain(double seconds);
  base::Result<std::size_t> retire(double seconds);  // see server::Service
  base::Result<WorkUnderWay> under_way(std::size_t most, double seconds);
  // Of each loop at most so many. No thread of the server's own.
  base::Result<server::ConnectionReports> connections(std::size_t most, double seconds);
  base::Status stop_loops();

  // Borrowed; null and a Python exception where asyncio fails.
  PyObject* asyncio_loop();
  PyObject* stats() const;  // a new dict, or a Python exception
  observe::Metrics metrics() const;
  observe::JourneySnapshot journey() const;
  void reset_journey();
  std::vector<std::string> endpoints() const;
  std::vector<int> ports() const;
  std::vector<server::SocketReport> socket_reports() const;
  std::vector<server::QueueReport> accept_queues() const;
  std::vector<server::ReceiveQueueReport> receive_queues() const;
  std::vector<int> listening_descriptors() const;  // see server::Service, as for the next one
  void leave_paths();

  // All that are left stop, at interpreter exit: nothing calls Python after that.
  static void stop_all();
  // In the child of a fork: none of the threads exist there, and the descriptors are the parent's
  // too.
  static void forget_all();
  int traverse(visitproc visit, void* arg) const;

 private:
  struct Parts;
  explicit Engine(std::unique_ptr<Parts> parts);
  base::Status usable() const;
  using Wait = std::size_t (server::Service::*)(base::Time deadline);
  base::Result<std::size_t> wait_in_slices(double seconds, Wait wait);

  std::unique_ptr<Parts> parts_;  // null in a forked child
};

}  // namespace millrace::python
