// Serves a given number of requests from memory, with the journey recorded or not, and ends:
// something whose instructions callgrind can count. The peer is in the same process; only what
// happens below StreamPump::on_bytes is counted.
//
// usage: journey_cost REQUESTS on|off
#include <cstdlib>
#include <cstring>

#include "millrace/conn/protocols.hpp"
#include "millrace/conn/server_connection.hpp"
#include "millrace/observe/stage_report.hpp"

namespace {

using namespace millrace;

constexpr std::string_view request =
    "GET /users/42?full=1 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: Mozilla/5.0 (X11; Linux "
    "x86_64)\r\n"
    "Accept: text/html,application/xhtml+xml\r\nAccept-Language: "
    "en-US,en;q=0.5\r\nAccept-Encoding: gzip, br\r\n\r\n";

class Answering final : public conn::Service {
 public:
  void on_exchange(conn::Exchange& exchange) override {
    exchange.stamps.stamp(trace::Moment::handler_started,
                          exchange.stamps[trace::Moment::head_parsed]);
    exchange.reply({.status = 200, .preset = &fields_, .fields = {}, .content_length = {}},
                   base::Bytes::borrowed("Hello, World!"));
  }
  void on_body(conn::Exchange&) override {}
  void on_done(conn::Exchange&) override { ++done; }
  bool hold(conn::Exchange&, std::size_t) override { return true; }
  void on_connection_closed(const net::Endpoint&) override {}
  std::size_t done = 0;

 private:
  http::Fields fields_{{"Content-Type", "text/plain; charset=utf-8"}};
};

class Asking final : public net::ReadSink {
 public:
  explicit Asking(std::unique_ptr<net::Stream> stream) : stream_(std::move(stream)) {
    stream_->start(*this);
  }
  void ask() {
    base::ByteChain out;
    out.append(request);
    if (!stream_->write(out)) std::abort();
  }
  void on_bytes(base::ByteView, base::Time, base::Time) override { ask(); }
  void on_eof(base::Time) override {}
  void on_writable(base::Time) override {}
  void on_error(base::Error, base::Time) override {}

 private:
  std::unique_ptr<net::Stream> stream_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  auto const requests = static_cast<std::size_t>(std::atol(argv[1]));
  conn::ServerConnectionOptions options;
  options.journey = options.pump.stamps = std::strcmp(argv[2], "on") == 0;
  net::Reactor reactor;
  http::Limits limits;
  http::DateField date;
  date.write(0);
  Answering service;
  observe::StageReport sink(options.journey);
  conn::ConnectionSet set;
  auto [ours, theirs] = net::make_memory_pipe(reactor);
  auto codec =
      conn::find_protocol("h1")->make({proto::Side::server, limits, &date}, net::Reactor::clock());
  (new conn::ServerConnection(reactor, std::move(ours), std::move(codec), service, sink, set,
                              options))
      ->start();
  Asking peer(std::move(theirs));
  peer.ask();
  while (service.done < requests) reactor.turn(0);
  set.abort_all({base::Errc::cancelled, {}, {}});
  reactor.turn(0);
  return 0;
}
