// A plain TCP connection that any thread may read from and write to.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/conn/message_stream.hpp"
#include "millrace/conn/news.hpp"
#include "millrace/net/letter.hpp"

namespace millrace::conn {

class Conversation;
struct ConnectionReport;

// Shared by its loop, which holds it while it is open, and by whoever reads and writes: a handler's
// object, a client's, a call under way.
using SharedConversation = std::shared_ptr<Conversation>;
// Shared by the connections of a server.
using SharedOptions = std::shared_ptr<const MessageStreamOptions>;

// Holds a conversation while it is open. Home loop only.
class Keeper {
 public:
  // Once, and last.
  virtual void on_closed(Conversation& conversation) = 0;

 protected:
  ~Keeper() = default;
};

// What a keeper or listener attaches to a conversation, until on_closed.
class Attachment {
 public:
  virtual ~Attachment() = default;
};

// Shared by the conversation and by the call that uses it on another thread.
using SharedAttachment = std::shared_ptr<Attachment>;

// Takes a conversation's messages as they come, in place of its inbox. Home loop only.
class Listener {
 public:
  // Its bytes live until the call returns.
  virtual void on_message(Conversation& conversation, base::ByteView message) = 0;
  // The peer ended its side or was refused, or the server wants to end.
  virtual void on_end(Conversation& conversation) = 0;

 protected:
  ~Listener() = default;
};

// What a reader wants of a conversation without a listener.
struct Want {
  enum class What : std::uint8_t {
    message,  // the next one; without framing, what there is
    some,     // 1 to `count` bytes
    exactly,  // `count` bytes
    line,     // up to and with the next LF; longer than `count` is Errc::message_too_large
  };
  What what = What::message;
  std::size_t count = 0;
};

// Any thread, unless said otherwise.
class Conversation final : public std::enable_shared_from_this<Conversation>,
                           public News,
                           private MessageSink,
                           private net::Letter {
 public:
  enum class Taken : std::uint8_t { done, wait, end };

  // Makes it, on its home loop; begin() reads. The keeper outlives it. `listener`
  // may be null: then messages wait in the inbox until they are taken, and its bound holds the peer
  // back.
  static SharedConversation make(net::Reactor& reactor, std::unique_ptr<net::Stream> stream,
                                 SharedOptions options, Keeper& keeper, Listener* listener);
  Conversation(net::Reactor& reactor, std::unique_ptr<net::Stream> stream, SharedOptions options,
               Keeper& keeper, Listener* listener);

  // --- reading from the inbox
  // Errors: what ended the connection or was refused, once all that came before it has been taken.
  // After Taken::wait the next news are told.
  base::Result<Taken> take(const Want& want, std::string& into);

  // --- writing
  // Errc::connection_closed, wrong_state behind finish(), invalid_message. True: there is room for
  // more, else room is news. On threads other than the home loop's its bytes are copied.
  base::Result<bool> write(base::Bytes message);
  base::Result<bool> write_copy(base::ByteView message) {
    // Small ones are copied anyway.
    bool const is_copied = !in_thread() || message.size() <= base::ByteChain::copy_below;
    return write(is_copied ? base::Bytes::borrowed(message) : base::Bytes::copy_of(message));
  }
  bool has_room();  // false: room is news
  void finish();    // the end of our side, behind what was written
  void close();     // the end of both, behind what was written
  void abort();     // a reset, at once

  base::Status failure() const;  // why it closed
  std::size_t unsent_bytes() const;
  const net::Endpoint& peer() const { return peer_; }
  std::uint64_t number() const { return number_; }  // counts up within the process
  bool in_thread() const { return reactor_.in_thread(); }
  net::Reactor& home() { return reactor_; }

  // What a handler keeps with it until the connection is closed; on whichever thread it runs.
  SharedAttachment handlers_object() const;
  void set_handlers_object(SharedAttachment object);

  // --- home loop
  void begin() { stream_.start(); }
  void pause() { stream_.pause(); }
  void resume() { stream_.resume(); }
  // The server wants to end: what has come is still read, nothing more is.
  void go_away();
  void end(const base::Error& why) { stream_.abort(why); }
  ConnectionReport report();
  // The keeper's, and what its listener attached, kept by whoever it has been handed to as well.
  std::size_t loop = 0;
  SharedAttachment attachment;

 private:
  void on_message(base::ByteView message) override;
  void on_end() override;
  void on_room() override;
  void on_refused(const base::Error& why) override;
  void on_closed(const base::Error* why) override;

  enum Order : std::uint8_t {
    order_resume = 1,
    order_finish = 2,
    order_close = 4,
    order_abort = 8
  };
  void end_with(Order order);
  void give(std::uint8_t order);  // 0: only what waits to be written
  void carry_out();
  void break_off(const base::Error* why);
  base::Result<Taken> take_nothing(const Want& want, std::string& into);
  std::optional<std::size_t> size_of(const Want& want) const;
  std::size_t inbox_bytes() const { return inbox_.size() - inbox_at_; }

  net::Reactor& reactor_;
  const SharedOptions options_;  // shared with those made alike
  Keeper& keeper_;
  Listener* const listener_;
  const net::Endpoint peer_;
  const std::uint64_t number_;
  const base::Time since_ = net::Reactor::clock();
  MessageStream stream_;
  SharedConversation self_;  // while it is open

  // With the lock:
  std::string inbox_;
  std::size_t inbox_at_ = 0;       // of its bytes, those that were taken
  std::deque<std::size_t> sizes_;  // of the messages in it, where there is framing
  std::size_t wanted_bytes_ = 0;   // what a reader waits for, though it be more than the bound
  std::vector<base::Bytes> outgoing_;
  std::size_t outgoing_bytes_ = 0;
  std::size_t unsent_bytes_ = 0;  // the stream's, when it was last asked
  std::unique_ptr<base::Error> why_;
  SharedAttachment handlers_object_;
  std::uint8_t orders_ = 0;
  bool is_full_ = false, is_finished_ = false, has_ended_ = false, is_refused_ = false;
  SharedConversation travelling_;  // not null: the letter is under way
};

}  // namespace millrace::conn
