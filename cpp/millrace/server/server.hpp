// The HTTP server: the service that joins router and dispatch, on a host's connections.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "millrace/conn/protocols.hpp"
#include "millrace/conn/server_connection.hpp"
#include "millrace/proto/coding/content_decoder.hpp"
#include "millrace/proto/http/limits.hpp"
#include "millrace/server/admission.hpp"
#include "millrace/server/body_memory.hpp"
#include "millrace/server/filters/filters.hpp"
#include "millrace/server/host.hpp"
#include "millrace/server/router.hpp"

namespace millrace::server {

// A connection beyond max_connections is answered 503 and closed.
struct Options : HostOptions {
  http::Limits limits;
  conn::ServerConnectionOptions connection;
  // Bytes of a body that is buffered for a plain function; more is 413. Streamed bodies have no
  // limit but their reader.
  std::size_t body_bytes = 16 * 1024 * 1024;
  // Whether handlers get the bodies of requests without their content codings. Off, as in other
  // servers: what was sent may be signed, or stored as it is.
  bool decompress = false;
  coding::DecodeLimits decoding;
  // Bytes of all such bodies together, as far as they have come, and of the windows of those that
  // are being decoded, until their requests are answered; a body that would go beyond is 503. 64 of
  // the largest, of either; a server with less memory sets less.
  std::size_t body_memory = 1024 * 1024 * 1024;
  // Share of it above which no further body is begun: its client waits, at most
  // admission.queue_timeout. Half, so that those that have begun find as much again to end in.
  double body_memory_high_water = 0.5;
  AdmissionOptions admission;
  std::vector<FilterRow> filters;  // for Filters::make, in their order
};

// Per-loop sink factory's product: who records the journey. Index as the loop's.
using MakeSink = std::function<std::unique_ptr<trace::Sink>(std::size_t index)>;

struct UnderWay {
  std::vector<conn::OpenRequest> oldest;  // oldest first
  std::size_t silent_loops = 0;           // they did not answer in time: something blocks them
};

// Its life is its host's. The destructor does what is left of it, without waiting for requests.
class Server final : public conn::Service, public Tenant {
 public:
  Server(Options options, Router router, LoopRunner* runner, exec::WorkerGuard* worker_guard,
         const MakeSink& make_sink, Filters filters = {});
  ~Server() override;

  Host& host() override { return host_; }
  // Asks every loop for its open requests. Any thread but a loop's, between Host::run_loops() and
  // the destructor.
  UnderWay under_way(std::size_t most, base::Time deadline);
  trace::Sink& sink(std::size_t index) { return *loops_[index]->sink; }
  std::size_t in_flight() const override { return admission_.in_flight(); }
  const Admission& admission() const { return admission_; }
  const BodyMemory& body_memory() const { return body_memory_; }
  const Options& options() const { return options_; }

  // conn::Service
  void on_exchange(conn::Exchange& exchange) override;
  void on_body(conn::Exchange& exchange) override;
  bool hold(conn::Exchange& exchange, std::size_t bytes) override;
  void on_done(conn::Exchange& exchange) override;
  void on_connection_closed(const net::Endpoint& peer) override { host_.connection_closed(peer); }

 private:
  struct Loop {
    http::DateField date;
    conn::ConnectionSet connections;
    std::unique_ptr<trace::Sink> sink;
  };
  void open_connection(std::size_t loop, int descriptor, const net::Peer& peer) override;
  void refuse_connection(int descriptor) override;
  void go_away(std::size_t loop) override;
  void retire(std::size_t loop) override;
  void abort_all(std::size_t loop) override;
  void list_connections(std::size_t loop, std::size_t most,
                        std::vector<conn::ConnectionReport>& into) override {
    loops_[loop]->connections.list(into, most);
  }
  void begin(conn::Exchange& exchange);
  bool holds_memory(const conn::Exchange& exchange) const;
  void begin_body(conn::Exchange& exchange);
  bool decode_body(conn::Exchange& exchange);
  void start(conn::Exchange& exchange);
  void answer_overloaded(conn::Exchange& exchange);
  void answer_without_handler(conn::Exchange& exchange, const Router::Match& match);

  Options options_;
  Router router_;
  Filters filters_;
  const conn::Protocol* protocol_;
  Host host_;
  std::vector<std::unique_ptr<Loop>> loops_;
  Admission admission_;
  BodyMemory body_memory_;
};

}  // namespace millrace::server
