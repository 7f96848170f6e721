// The server's side of a connection: turns a codec's events into exchanges and their answers into
// parts.
#pragma once
#include "millrace/base/read_piece.hpp"
#include "millrace/conn/connection_report.hpp"
#include "millrace/conn/exchange.hpp"
#include "millrace/conn/stream_pump.hpp"
#include "millrace/trace/sink.hpp"

namespace millrace::conn {

struct ServerConnectionOptions {
  PumpOptions pump;
  // A client that ends its sending side before the answer still wants it. Off: as most clients do,
  // it has left.
  bool half_close = false;
  bool journey = true;
  // Requests that one connection may bring; the answer to the last says that it closes. 0: any
  // number, as what a connection holds does not grow with them. Set it to have clients spread anew.
  std::uint64_t max_requests = 0;
  // The same of its age, at its next request: idle ones end by their own timeout. Long-lived
  // clients find new addresses and workers within the hour, which is also nginx's; 0: any age.
  base::Duration max_age = base::seconds(3600);
  // Of a body that its handler reads as it comes: what may be there before it is asked for. Twice
  // what a loop reads at once: while one read waits for its reader the next can be taken whole, and
  // is not cut and kept aside.
  std::size_t body_ahead_bytes = 2 * base::PiecePool::piece_bytes;
};

// A request whose answer has not left in full.
struct OpenRequest {
  std::string what;  // "GET /path", cut at Exchange::summary_bytes
  base::Time since;
};

class ServerConnection;

// The connections of one loop. Home loop only.
class ConnectionSet {
 public:
  std::size_t size() const { return size_; }
  // Busy ones close after their answer, idle ones as it says.
  void go_away(http::GoAway away = {});
  // Breaks off all that are left.
  void abort_all(const base::Error& why);
  void list_open(std::vector<OpenRequest>& into) const;
  void list(std::vector<ConnectionReport>& into, std::size_t most) const;

 private:
  friend class ServerConnection;
  ServerConnection* first_ = nullptr;
  std::size_t size_ = 0;
};

// Owns itself: made on its home loop, disposed of when its stream is closed and its exchanges are
// answered.
class ServerConnection final : public PumpOwner {
 public:
  ServerConnection(net::Reactor& reactor, std::unique_ptr<net::Stream> stream,
                   std::unique_ptr<proto::Codec> codec, Service& service, trace::Sink& sink,
                   ConnectionSet& set, const ServerConnectionOptions& options);
  ServerConnection(const ServerConnection&) = delete;
  ServerConnection& operator=(const ServerConnection&) = delete;
  ~ServerConnection();
  void start() { pump_.start(); }

  // PumpOwner
  void on_event(http::Event&& event, base::Time ready, base::Time received) override;
  void on_written(base::Time now) override;
  void on_room() override;
  bool on_peer_ended() override;
  void on_failure(const base::Error& error) override;
  void on_hand_over() override;
  void on_closed(const base::Error* why) override;

 private:
  friend class Exchange;
  friend class ConnectionSet;
  // Whether the caller of Exchange::write is told of room by its return value or by its observer.
  enum class Tell : std::uint8_t { by_return, by_observer };
  class Words;

  void open_exchange(http::StreamId stream, http::HeadReceived head, base::Time ready,
                     base::Time received);
  void take_refusal(http::StreamId stream, http::Refused refused);
  void record_refusal(base::Time written);
  void retire_if_worn();
  void list_open(std::vector<OpenRequest>& into) const;
  ConnectionReport report() const;
  Exchange* find(http::StreamId stream);
  void take_data(Exchange& exchange, base::Bytes bytes);
  bool may_hold(Exchange& exchange);
  void take_end(Exchange& exchange, http::Fields trailers);
  void complete_body(Exchange& exchange);
  void tell_of_body(Exchange& exchange);
  void decode(Exchange& exchange);
  void go_on_with_body(Exchange& exchange);
  void grant_credit(Exchange& exchange);
  void take_part(Exchange& exchange, http::Part&& part, bool last, Tell tell);
  void pass_part(Exchange& exchange, http::Part&& part);
  void send_part(Exchange& exchange, http::Part&& part);
  void refuse(Exchange& exchange, base::Errc code);
  void acknowledge(Exchange& exchange, Tell tell);
  void break_off(Exchange& exchange, const base::Error& error);
  void break_off_all(const base::Error& error);
  void finish(Exchange& exchange);
  void release_all_done(base::Time written);
  void release(Exchange& exchange, base::Time written);
  void dispose_if_over();
  const std::string& client();

  StreamPump pump_;
  Service& service_;
  trace::Sink& sink_;
  ConnectionSet& set_;
  const ServerConnectionOptions& options_;
  ServerConnection* previous_ = nullptr;
  ServerConnection* next_ = nullptr;
  Exchange* open_ = nullptr;                  // being answered
  Exchange* done_ = nullptr;                  // answered, bytes not yet with the kernel
  std::unique_ptr<http::Refused> refused_;    // answered, and not recorded yet
  std::unique_ptr<proto::Codec> next_codec_;  // for on_hand_over
  std::string client_;                        // the peer's address as text, once asked for
  base::Time since_;
  std::uint64_t requests_ = 0;
  bool closed_ = false, disposed_ = false;
};

}  // namespace millrace::conn
