// One request and its answer. Knows no HTTP version; may be answered from any thread.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <optional>

#include "millrace/conn/answer_step.hpp"
#include "millrace/conn/body_decoding.hpp"
#include "millrace/conn/body_reader.hpp"
#include "millrace/net/endpoint.hpp"
#include "millrace/net/letter.hpp"
#include "millrace/net/reactor.hpp"
#include "millrace/proto/codec.hpp"
#include "millrace/trace/journey.hpp"

namespace millrace::conn {

class Exchange;
class ServerConnection;

// A handler that outlives its call hears here what happens to its exchange. Called on the
// exchange's home loop.
class ExchangeObserver {
 public:
  virtual void on_body(Exchange& exchange) = 0;  // body.read() had to wait; look again
  virtual void on_room(
      Exchange& exchange) = 0;  // write() had said "full"; go on. May come once too often
  virtual void on_gone(
      Exchange& exchange) = 0;  // the client left; answer or not, nobody hears it. Once
  // The exchange is over and will be reused: the last call. Delete yourself.
  virtual void on_released() = 0;

 protected:
  ~ExchangeObserver() = default;
};

// A route parameter: the route's name for it, and its text in the request's path.
struct Parameter {
  base::ByteView name;
  base::ByteView value;
};

// Lives from head to last byte, then is recycled. The pump's side and the handler's side both hold
// it: it is over when the handler has answered (reply, finish or fail: exactly one, exactly once)
// and the bytes are out or the connection is gone. After that call the handler must not touch it.
class Exchange final : public net::Letter {
 public:
  static constexpr std::size_t max_parameters = 16;

  // Bytes of "GET /path" that are kept for those who ask what is under way; longer is cut.
  static constexpr std::size_t summary_bytes = 64;

  http::Head head;
  BodyReader body;
  std::string whole_body;  // filled before the handler runs, where it asked for that
  trace::Stamps stamps;
  std::array<Parameter, max_parameters> parameters;
  std::uint8_t parameter_count = 0;
  base::ByteView route;  // the router's pattern, which lives as long as the service; may be empty
  bool native = false;   // answered without entering Python
  void* subject = nullptr;   // the service's: which handler runs it
  void* waiting = nullptr;   // the service's: what stands in line for it
  std::size_t held = 0;      // the service's: bytes counted for its body
  std::size_t promised = 0;  // the service's: bytes to come that are counted as well
  base::Time admitted = 0;   // the service's: since when it is being answered; 0: it is not

  // --- the handler's side; any thread, one owner at a time
  void reply(http::ResponseHead head, base::Bytes body);                // the whole answer
  void reply_in_pieces(http::ResponseHead head, base::ByteChain body);  // the same
  void interim(http::ResponseHead head);                                // a 1xx answer before it
  void start(http::ResponseHead head);  // an answer in pieces: start, write..., finish
  // False: enough is under way, wait for on_room before the next.
  bool write(base::Bytes bytes);
  void finish(http::Fields trailers = {});
  // No proper answer: 500 where nothing has been sent yet, else the connection breaks off visibly.
  void fail(base::Error error);
  // 101 and another protocol on the same stream. Home loop only; nothing of this exchange is used
  // afterwards.
  void upgrade(http::ResponseHead head, std::unique_ptr<proto::Codec> next);

  bool is_gone() const { return gone_.load(std::memory_order_acquire); }  // any thread
  bool has_started() const { return started_; }                           // handler's side
  // Any thread, the handler's side. Look at is_gone() afterwards: on_gone may have had nobody to
  // tell.
  void observe(ExchangeObserver* observer) { observer_.store(observer); }
  // Reads more of the body after body.read() took some: returns the credit to the codec. Any
  // thread.
  void return_credit();
  // Home loop, from Service::on_exchange: buffer up to `limit` bytes, then Service::on_body.
  void collect_body(std::size_t limit);
  // Home loop, from Service::on_exchange: let the body flow to body.read().
  void stream_body();
  // Home loop, from Service::on_exchange and before either of these: whoever reads the body gets it
  // without these codings, and the head without Content-Encoding and Content-Length, which spoke of
  // what was sent.
  void decode_body(const std::vector<coding::Coding>& codings, const coding::DecodeLimits& limits);
  // Home loop, from Service::on_exchange: nobody has it until hand_over(). If its client leaves
  // meanwhile it is over: Service::on_done.
  void hold_back() { handed_over_ = false; }
  void hand_over() { handed_over_ = true; }

  net::Reactor& home() { return *home_; }
  // Home loop, from Service::on_exchange: what filters say, made when the first one does.
  Filtered& filtered() {
    if (!filtered_) filtered_ = std::make_unique<Filtered>();
    return *filtered_;
  }
  // Null: none has said anything. Does not change once the service has handed the exchange on.
  const Filtered* filters_said() const { return filtered_.get(); }
  const net::Endpoint& peer() const;  // at the other end of the connection
  // The client, who may stand behind proxies that are trusted to say so.
  const net::Endpoint& client() const {
    return filtered_ && filtered_->client ? *filtered_->client : peer();
  }
  bool is_secure() const { return filtered_ && filtered_->is_secure; }
  std::optional<std::size_t> body_limit() const {
    return filtered_ ? filtered_->body_bytes : std::nullopt;
  }
  bool stamping() const { return stamping_; }
  // "GET /path", cut. Lives as long as the exchange.
  base::ByteView summary() const { return {summary_.data(), summary_size_}; }

  static Exchange* take();
  static void give(Exchange* exchange);

 private:
  friend class ServerConnection;
  friend class AnswerStep;
  struct PartLetter;
  void deliver_part(http::Part&& part, bool last);
  void send_on(http::Part&& part);  // what the steps leave of an answer; home loop
  void summarize();
  void reset();

  ServerConnection* connection_ = nullptr;
  net::Reactor* home_ = nullptr;
  http::StreamId stream_ = 0;
  std::atomic<ExchangeObserver*> observer_{nullptr};
  Exchange* next_ = nullptr;                      // in the connection's list, or the pool's
  std::unique_ptr<Filtered> filtered_;            // null where no filter has a word
  std::optional<http::ResponseMessage> message_;  // an answer on its way home
  std::atomic<std::size_t> unwritten_{0};  // bytes of write() that the connection has not absorbed
  std::atomic<bool> writer_waits_{false};
  std::atomic<bool> gone_{false};
  std::size_t absorbed_ = 0;  // home loop: applied, not yet acknowledged to the writer
  std::size_t collect_limit_ = 0;
  std::size_t collected_ = 0;    // home loop: body bytes that the service has agreed to hold
  std::size_t credited_ = 0;     // home loop: body bytes the codec was allowed so far
  std::uint64_t bytes_out_ = 0;  // of the body
  base::Time since_ = 0;         // home loop: when its head came, to the turn
  // A copy, since a handler on another thread may take the head away.
  std::array<char, summary_bytes> summary_;
  std::uint8_t summary_size_ = 0;
  std::uint16_t status_ = 0;
  enum class BodyMode : std::uint8_t { unread, collecting, streaming };
  BodyMode body_mode_ = BodyMode::unread;
  std::unique_ptr<BodyDecoding> decoding_;  // home loop: where the body comes in a coding
  bool started_ = false;                    // handler's side: start() was called
  bool head_sent_ = false;                  // home loop: a final head went to the codec
  bool handed_over_ = false;                // home loop: the handler's side holds it
  bool refused_ = false;                    // home loop: by the protocol, in its body
  bool broken_ = false;                     // home loop: no part of it can be sent any more
  bool stamping_ = false;
};

// What answers exchanges. Called on the exchange's home loop.
class Service {
 public:
  virtual ~Service() = default;
  // A head is there. The service answers, or hands the exchange on, or asks for the body first.
  virtual void on_exchange(Exchange& exchange) = 0;
  // The body that collect_body() asked for is whole.
  virtual void on_body(Exchange& exchange) = 0;
  // So many bytes more of the body that collect_body() asked for are held until on_done(). False:
  // there is no room for them, and the exchange has been answered so.
  virtual bool hold(Exchange& exchange, std::size_t bytes) = 0;
  // The exchange is over.
  virtual void on_done(Exchange& exchange) = 0;
  virtual void on_connection_closed(const net::Endpoint& peer) = 0;
};

}  // namespace millrace::conn
