// Handlers written in Python.
#pragma once
#include "route.hpp"

#include "millrace/server/handler.hpp"

namespace millrace::python {

// A plain function: runs where the pattern says, with its body buffered.
class PlainHandler final : public server::Handler {
 public:
  explicit PlainHandler(const Route& route) : route_(route) {}
  Where where() const override { return Where::dispatched; }
  Body body() const override { return Body::whole; }
  void handle(conn::Exchange& exchange) override;

 private:
  const Route& route_;
};

// A coroutine function or an async generator function: runs on the asyncio loop, where its body
// streams in.
class CoroutineHandler final : public server::Handler {
 public:
  explicit CoroutineHandler(const Route& route) : route_(route) {}
  Where where() const override { return Where::on_loop; }
  Body body() const override { return Body::streamed; }
  void handle(conn::Exchange& exchange) override;

 private:
  static void begin(conn::Exchange& exchange);
  const Route& route_;
};

}  // namespace millrace::python
