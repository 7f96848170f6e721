// Where framing meets a stream: messages in, messages out, deadlines and back-pressure. Both sides
// of plain TCP.
#pragma once
#include <memory>
#include <string>

#include "millrace/base/byte_chain.hpp"
#include "millrace/conn/output_hold.hpp"
#include "millrace/net/stream.hpp"
#include "millrace/proto/framing/framing.hpp"

namespace millrace::conn {

// Who hears what comes on a message stream. Home loop only.
class MessageSink {
 public:
  // Its bytes live until the call returns. After pause() no more are told until resume().
  virtual void on_message(base::ByteView message) = 0;
  // The peer ended its side, and all its messages have been told. Ours is still open.
  virtual void on_end() = 0;
  // Less output waits than the low-water mark, after more than the high one had.
  virtual void on_room() = 0;
  // The peer broke the framing or its limit: nothing more is taken or told. Answers to what came
  // before may still be sent; the end of our side is the sink's to say, and then the stream listens
  // for a while (see linger_timeout).
  virtual void on_refused(const base::Error& why) = 0;
  // Once, and last. `why` is null for a proper end.
  virtual void on_closed(const base::Error* why) = 0;

 protected:
  ~MessageSink() = default;
};

struct MessageStreamOptions {
  framing::Framing framing;
  // Output that may wait for the peer. Above, no more is read from it, and writers are asked to
  // wait until no more than the low-water mark is left.
  std::size_t high_water_bytes = 64 * 1024;
  std::size_t low_water_bytes = 16 * 1024;
  // Without a byte in either direction the connection is closed; 0: never. Ten minutes outlive a
  // person's pause and most middleboxes' memory.
  base::Duration idle_timeout = base::seconds(600);
  // From a write that could not go on to its next progress.
  base::Duration write_timeout = base::seconds(60);
  // After a refusal: how long, and how much, a peer that keeps sending is listened to, so that our
  // last answer is not destroyed by a reset, as in HTTP (RFC 9112 9.6).
  base::Duration linger_timeout = base::seconds(2);
  std::size_t linger_bytes = 1024 * 1024;
};

// Owned by its sink, which disposes of it through the reactor after on_closed. Home loop only.
class MessageStream final : private net::ReadSink {
 public:
  MessageStream(net::Reactor& reactor, std::unique_ptr<net::Stream> stream, MessageSink& sink,
                const MessageStreamOptions& options);
  MessageStream(const MessageStream&) = delete;
  MessageStream& operator=(const MessageStream&) = delete;
  ~MessageStream();

  using Hold = OutputHold<MessageStream>;

  void start();
  void pause();
  void resume();
  void stop_reading();  // for good: what has not been told is dropped
  // Errc::invalid_message, wrong_state behind finish(), or connection_closed.
  base::Status send(base::Bytes message);
  void finish();                                 // the end of our side, behind all that was sent
  void close_when_written();                     // the end of both
  void close(const base::Error* why = nullptr);  // at once, what is unsent is lost
  void abort(const base::Error& why);            // the same with a reset

  bool is_closed() const { return closed_; }
  bool has_room() const { return out_.size() < options_.high_water_bytes; }
  std::size_t unsent_bytes() const { return out_.size(); }
  std::uint64_t messages() const { return messages_; }  // that have been told
  int descriptor() const { return stream_->descriptor(); }
  net::Reactor& reactor() { return reactor_; }
  const net::Endpoint& peer() const { return stream_->peer(); }

 private:
  friend Hold;
  struct Timer : net::WheelEntry {
    MessageStream* stream = nullptr;
  };
  enum class Ending : std::uint8_t { open, half, both };  // of our side: wanted when all is written

  void on_bytes(base::ByteView bytes, base::Time ready, base::Time received) override;
  void on_eof(base::Time now) override;
  void on_writable(base::Time now) override;
  void on_error(base::Error error, base::Time now) override;

  bool may_deliver() const { return !closed_ && !paused_ && !refused_ && has_room(); }
  void deliver(base::ByteView bytes);
  void tell_all(base::ByteView& bytes);
  void deliver_pending();
  void set_reading(bool wanted);
  void refuse(base::Error error);
  void settle();
  void write_out();
  void end_when_written();
  void begin_lingering();
  void arm_timer();
  void on_timer(base::Time now);

  net::Reactor& reactor_;
  std::unique_ptr<net::Stream> stream_;
  MessageSink& sink_;
  const MessageStreamOptions& options_;
  framing::Splitter splitter_;
  std::uint64_t copied_counted_ = 0;
  std::uint64_t messages_ = 0;
  base::ByteChain out_;
  std::string pending_;  // read, but not to be told yet; at most one read buffer's worth
  Timer timer_;
  base::Time last_traffic_ = 0;
  base::Time write_stuck_since_ = 0;
  base::Time linger_until_ = 0;
  std::size_t lingered_ = 0;
  std::unique_ptr<base::Error> refused_;  // why it will close once all is written
  int depth_ = 0;
  Ending ending_ = Ending::open;
  bool is_reading_ = true, paused_ = false, closed_ = false, has_ended_ = false, was_above_ = false,
       is_blocked_ = false, is_telling_ = false, has_sent_end_ = false, lingering_ = false;
};

}  // namespace millrace::conn
