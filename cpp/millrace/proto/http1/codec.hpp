// HTTP/1.1 as a state machine, for both sides (RFC 9112).
#pragma once
#include <cassert>
#include <memory>

#include "millrace/proto/codec.hpp"
#include "millrace/proto/http/limits.hpp"
#include "millrace/proto/http1/chunked.hpp"
#include "millrace/proto/http1/encode.hpp"
#include "millrace/proto/http1/head_reader.hpp"
#include "millrace/proto/http1/rules.hpp"
#include "millrace/proto/http1/state.hpp"

namespace millrace::http1 {

// Interim (1xx) responses that a server may send before a final one; more is refused, since each is
// held as an event.
inline constexpr int interim_most = 64;

// One connection. `in_` is the life of what comes from the peer, `out_` of what goes to it; both
// follow state.hpp. On a server an exchange begins with a whole head, on a client with a request
// that is sent; stream ids count from 1. One owner at a time.
class Codec final : public proto::Codec {
 public:
  Codec(proto::Side side, const http::Limits& limits, const http::DateField* date, base::Time now);
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;
  ~Codec() override;

  base::Result<std::size_t> receive(base::ByteView bytes, base::Time now) override;
  base::Status receive_eof(base::Time now) override;
  base::Status send(http::StreamId stream, http::Part&& part, base::Time now) override;
  std::optional<http::Event> next_event() override;
  std::size_t take_output(base::ByteChain& out) override;
  void output_waits(bool waits, base::Time now) override;
  base::Time deadline() const override;
  base::Status tick(base::Time now) override;
  proto::Afterwards afterwards() const override { return afterwards_; }

 private:
  // What comes in (codec.cpp). Each reads from `bytes` and sets `used`.
  Breach read_head(base::ByteView bytes, base::Time now, std::size_t& used);
  Breach read_body(base::ByteView bytes, base::Time now, std::size_t& used);
  Breach read_chunks(base::ByteView bytes, std::size_t& used);
  Breach discard_body(base::ByteView bytes, std::size_t& used);
  bool skip_empty_line(base::ByteView bytes, std::size_t& used, Breach& breach);
  Breach accept_request();
  Breach accept_response(base::Time now);
  void begin_body(Framing framing);
  void end_body(base::Time now);
  bool waits_for_body() const {
    return in_ == State::body && (credit_ > 0 || is_discarding_) && !output_waits_;
  }
  void account_for_body(std::size_t bytes, base::Time now);
  base::Status refuse(Breach breach);
  void drop_events();

  // What goes out (codec_send.cpp).
  base::Status say(http::ResponseHead& head, base::Time now);
  base::Status say(http::ResponseMessage& message, base::Time now);
  base::Status say(http::ChainedResponse& message, base::Time now);
  base::Status say(http::RequestHead& head, base::Time now);
  base::Status say(http::RequestMessage& message, base::Time now);
  base::Status say(http::Data& data, base::Time now);
  base::Status say(http::End& end, base::Time now);
  base::Status say(http::Reset& reset, base::Time now);
  base::Status say(http::Credit& credit, base::Time now);
  base::Status say(http::GoAway& away, base::Time now);
  bool is_usual(http::StreamId stream, const http::ResponseHead& head) const;
  void say_usual(http::ResponseMessage& message, base::Time now);
  void end_response(std::uint16_t status, base::Time now);
  bool is_fitting(http::StreamId stream, const http::Part& part) const;
  base::Status say_interim(const http::ResponseHead& head);
  base::Status plan_response(const http::ResponseHead& head, std::optional<std::size_t> body_size,
                             OwnFields& own);
  base::Status plan_length(const http::ResponseHead& head, std::optional<std::size_t> body_size,
                           OwnFields& own);
  void plan_connection(const http::ResponseHead& head, bool is_message, OwnFields& own);
  base::Status plan_request(const http::RequestHead& head, std::optional<std::size_t> body_size,
                            OwnFields& own);
  void begin_request(const http::RequestHead& head);
  bool switches_protocol(std::uint16_t status) const;
  base::Status mismatch(std::string detail);

  // Both directions (codec.cpp).
  // Callers ask may() first about what the peer or the application decides.
  static void advance(State& state, Input input) {
    auto const to = next(state, input);
    assert(to);
    state = to.value_or(State::closed);
  }
  bool is_idle() const { return in_ == State::idle && out_ == State::idle && !head_; }
  bool can_discard() const;
  void settle(base::Time now);
  void settle_server(base::Time now);
  void settle_client();
  void switch_protocol();
  void end_connection(proto::Afterwards how);

  const http::Limits& limits_;
  const http::DateField* date_;
  base::ByteChain output_;

  http::HeadBlockPtr head_;                 // being read
  http::HeadBlock* first_event_ = nullptr;  // heads not yet handed out, linked by `next`; owned
  http::HeadBlock* last_event_ = nullptr;
  base::Bytes data_;  // not yet handed out
  std::unique_ptr<http::Refused> refused_;
  ChunkedReader chunks_;
  HeadReader reader_;

  base::Time since_;                  // when this phase began, or its last progress
  base::Duration body_patience_ = 0;  // with the body's sender, as of since_
  http::StreamId stream_ = 0;
  std::uint64_t in_remaining_ = 0;   // of a body with a length
  std::uint64_t out_remaining_ = 0;  // the same, of what we send
  std::size_t credit_ = 0;
  std::size_t discarded_ = 0;

  proto::Side side_;
  proto::Afterwards afterwards_ = proto::Afterwards::go_on;
  State in_ = State::idle;
  State out_ = State::idle;
  Framing in_framing_ = Framing::none;
  Framing out_framing_ = Framing::none;
  http::Method asked_ = http::Method::other;  // of the request of this exchange
  std::uint8_t empty_line_ = 0;  // bytes seen of the one that may come before a request
  std::uint8_t interims_ = 0;
  bool output_waits_ : 1 = false;  // for room
  bool end_ready_ : 1 = false;     // an End event waits behind the data
  bool is_http10_ : 1 = false;     // the client of this exchange
  bool is_bodiless_ : 1 = false;   // the response under way, whatever the application sends
  bool wants_upgrade_ : 1 = false;
  bool expects_continue_ : 1 = false;  // and none was sent so far
  bool body_seen_ : 1 = false;         // the peer has begun to send it
  bool is_discarding_ : 1 = false;     // the response is over, the request's body is thrown away
  bool close_after_ : 1 = false;       // this exchange is the last
  bool peer_may_send_ : 1 = false;     // close_after_ was our decision: the peer may not know yet
  bool peer_ended_ : 1 = false;
};

// `limits` and `date` outlive the codec; a client needs no `date`.
std::unique_ptr<proto::Codec> make_codec(proto::Side side, const http::Limits& limits,
                                         const http::DateField* date, base::Time now);

}  // namespace millrace::http1
