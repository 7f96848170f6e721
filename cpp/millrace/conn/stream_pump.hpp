// Where a codec meets a stream: bytes in, events out, output written, deadlines kept. Both sides,
// every stream protocol.
#pragma once
#include <memory>
#include <string>

#include "millrace/base/byte_chain.hpp"
#include "millrace/conn/output_hold.hpp"
#include "millrace/net/stream.hpp"
#include "millrace/proto/codec.hpp"

namespace millrace::conn {

// Who hears what a codec says. Home loop only.
class PumpOwner {
 public:
  // `ready` and `received`: when the wait returned and when the bytes stood in the buffer.
  virtual void on_event(http::Event&& event, base::Time ready, base::Time received) = 0;
  // The kernel has taken all output that there was.
  virtual void on_written(base::Time now) = 0;
  // There is room for output again (it had been above the high-water mark).
  virtual void on_room() = 0;
  // The peer ended its side, or had ended it and now all output is written. True: close now.
  virtual bool on_peer_ended() = 0;
  // The codec refused what the peer sent, or a deadline passed. A goodbye may still go out; nothing
  // more comes in.
  virtual void on_failure(const base::Error& error) = 0;
  // The codec hands the stream over; call replace_codec() or let it be closed.
  virtual void on_hand_over() = 0;
  // Once, and last: the stream is closed. `why` is null for a proper end.
  virtual void on_closed(const base::Error* why) = 0;

 protected:
  ~PumpOwner() = default;
};

struct PumpOptions {
  // Output that may wait for the peer before writers are asked to pause, and where they may go on.
  std::size_t high_water_bytes = 64 * 1024;
  std::size_t low_water_bytes = 16 * 1024;
  // From a write that could not go on to its next progress.
  base::Duration write_timeout = base::seconds(60);
  // Bytes per second that a peer takes while output waits for it. A slower one lives on
  // write_timeout until that is used up. As http::Limits::min_body_rate; 0: none.
  std::size_t min_response_rate = 240;
  // After a refusal: how long, and how much, a peer that keeps sending is listened to, so that our
  // answer is not destroyed by a reset (RFC 9112 9.6).
  base::Duration linger_timeout = base::seconds(2);
  std::size_t linger_bytes = 1024 * 1024;
  // Read the clock around writes.
  bool stamps = true;
};

// Owned by its owner, which disposes of it through the reactor after on_closed. Home loop only.
class StreamPump final : public net::ReadSink {
 public:
  StreamPump(net::Reactor& reactor, std::unique_ptr<net::Stream> stream,
             std::unique_ptr<proto::Codec> codec, PumpOwner& owner, const PumpOptions& options);
  StreamPump(const StreamPump&) = delete;
  StreamPump& operator=(const StreamPump&) = delete;
  ~StreamPump();

  using Hold = OutputHold<StreamPump>;

  void start();
  // Hands a part to the codec. It is written when the last Hold ends: at once where there is none.
  base::Status send(http::StreamId stream, http::Part&& part);
  // What has been said so far goes out now, whoever holds it back.
  void write_now();
  // The next protocol on this stream; only from on_hand_over(). It is offered the bytes that were
  // left over.
  void replace_codec(std::unique_ptr<proto::Codec> codec);
  void close(const base::Error* why = nullptr);  // at once, what is unsent is lost
  void abort(const base::Error& why);            // the same with a reset

  bool is_closed() const { return closed_; }
  bool has_room() const { return out_.size() < options_.high_water_bytes; }
  std::size_t unsent_bytes() const { return out_.size(); }
  net::Reactor& reactor() { return reactor_; }
  const net::Endpoint& peer() const { return stream_->peer(); }
  int descriptor() const { return stream_->descriptor(); }

  // net::ReadSink
  void on_bytes(base::ByteView bytes, base::Time ready, base::Time received) override;
  void on_eof(base::Time now) override;
  void on_writable(base::Time now) override;
  void on_error(base::Error error, base::Time now) override;

 private:
  friend Hold;
  struct Timer : net::WheelEntry {
    StreamPump* pump = nullptr;
  };

  void offer(base::ByteView bytes, base::Time ready, base::Time received);
  bool offer_pending();
  void drain_events(base::Time ready, base::Time received);
  void end_of_input(base::Time now);
  void fail(base::Error error);
  void settle();
  void write_out();
  void begin_waiting();
  void end_waiting();
  bool is_waiting() const { return write_stuck_since_ != 0; }
  void after_output();
  void begin_lingering();
  void on_timer(base::Time now);
  void arm_timer();

  net::Reactor& reactor_;
  std::unique_ptr<net::Stream> stream_;
  std::unique_ptr<proto::Codec> codec_;
  PumpOwner& owner_;
  const PumpOptions& options_;
  base::ByteChain out_;
  std::string pending_;  // bytes the codec would not take yet; at most one read buffer's worth
  std::size_t pending_at_ = 0;  // how many of them it has taken since
  Timer timer_;
  base::Time write_stuck_since_ = 0;   // or its last progress; 0: no output waits for room
  base::Duration write_patience_ = 0;  // with who should make room, as of then
  std::size_t lingered_ = 0;
  std::unique_ptr<base::Error> failure_;  // why the connection will close once the goodbye is out
  int depth_ = 0;
  bool closed_ = false, lingering_ = false, paused_ = false, over_high_water_ = false,
       input_ended_ = false;
  bool offering_ = false;
};

}  // namespace millrace::conn
