// Handlers of plain TCP written in Python.
#pragma once
#include <memory>
#include <string>

#include "asyncio_host.hpp"
#include "ref.hpp"

#include "millrace/server/stream_handler.hpp"
#include "millrace/server/stream_server.hpp"

namespace millrace::python {

// From the engine's connection to the object that handlers see: a new reference, or null and an
// exception raised. GIL held.
using MakeConnection = PyObject* (*)(const conn::SharedConversation& conversation);

// A plain function (connection, data): runs where the pattern says. What a handler is called for
// people lives as long as the engine, as for those below.
class PlainStreamHandler final : public server::StreamHandler {
 public:
  PlainStreamHandler(Ref target, MakeConnection make, const std::string& name)
      : target_(std::move(target)), make_(make), name_(name) {}
  Form form() const override { return Form::each_message; }
  bool handle(conn::Conversation& conversation, base::ByteView message) override;
  void begin(conn::Conversation&) override {}

 private:
  Ref target_;
  MakeConnection make_;
  const std::string& name_;
};

// A coroutine function (connection): runs on the asyncio loop, one task per connection.
class CoroutineStreamHandler final : public server::StreamHandler {
 public:
  CoroutineStreamHandler(Ref target, MakeConnection make, const std::string& name)
      : target_(std::move(target)), make_(make), name_(name) {}
  // Before the server runs.
  void serve_on(AsyncioHost& asyncio, server::StreamServer& server) {
    asyncio_ = &asyncio;
    server_ = &server;
  }
  Form form() const override { return Form::each_connection; }
  bool handle(conn::Conversation&, base::ByteView) override { return false; }
  void begin(conn::Conversation& conversation) override;

 private:
  class Call;
  Ref target_;
  MakeConnection make_;
  const std::string& name_;
  AsyncioHost* asyncio_ = nullptr;
  server::StreamServer* server_ = nullptr;
};

// What a handler answers, as bytes to send on a conversation, which copies small ones. False and an
// exception raised: it is not bytes-like, or cannot be sent. True where the peer is gone.
bool send_bytes(conn::Conversation& conversation, PyObject* data);

}  // namespace millrace::python
