// What is done with the connections of a plain TCP server.
#pragma once
#include "millrace/conn/conversation.hpp"

namespace millrace::server {

// Lives as long as the server.
class StreamHandler {
 public:
  enum class Form : std::uint8_t {
    each_message,     // handle() is called for each
    each_connection,  // begin() is called for each, which reads from its inbox
  };
  virtual ~StreamHandler() = default;
  virtual Form form() const = 0;
  // Where the pattern says, one at a time per connection, in order. Answers by writing. False: it
  // failed, and the connection is reset.
  virtual bool handle(conn::Conversation& conversation, base::ByteView message) = 0;
  // On the connection's loop. When it is over, StreamServer::calls_under_way() counts
  // down.
  virtual void begin(conn::Conversation& conversation) = 0;
};

// Sends every message back, without entering any language run-time.
class Echo final : public StreamHandler {
 public:
  Form form() const override { return Form::each_message; }
  bool handle(conn::Conversation& conversation, base::ByteView message) override {
    return static_cast<bool>(conversation.write_copy(message));
  }
  void begin(conn::Conversation&) override {}
};

}  // namespace millrace::server
