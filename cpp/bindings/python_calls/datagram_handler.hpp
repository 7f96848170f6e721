// Handlers of UDP written in Python.
#pragma once
#include <string>

#include "asyncio_host.hpp"
#include "ref.hpp"

#include "millrace/server/datagram_handler.hpp"

namespace millrace::python {

// A plain function (data, peer): runs where the pattern says. What a handler is called for people
// lives as long as the engine, as for those below.
class PlainDatagramHandler final : public server::DatagramHandler {
 public:
  PlainDatagramHandler(Ref target, const std::string& name)
      : target_(std::move(target)), name_(name) {}
  Outcome handle(base::ByteView datagram, const net::Endpoint& from, std::string& answer) override;

 private:
  Ref target_;
  const std::string& name_;
};

// A coroutine function (data, peer): runs on the asyncio loop, one task per datagram.
class CoroutineDatagramHandler final : public server::DatagramHandler {
 public:
  CoroutineDatagramHandler(Ref target, const std::string& name)
      : target_(std::move(target)), name_(name) {}
  // Before the server runs. False and an exception raised: no memory.
  bool serve_on(AsyncioHost& asyncio);
  Form form() const override { return Form::later; }
  Outcome handle(base::ByteView, const net::Endpoint&, std::string&) override {
    return Outcome::failed;
  }
  void begin(std::unique_ptr<server::DatagramCall> call) override;
  void cancel() override;

 private:
  void open(std::unique_ptr<server::DatagramCall> call);

  Ref target_, tasks_;  // a set
  const std::string& name_;
  AsyncioHost* asyncio_ = nullptr;
};

}  // namespace millrace::python
