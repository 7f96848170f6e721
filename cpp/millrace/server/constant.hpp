// A constant answer: never leaves the loop, never enters Python.
#pragma once
#include <string>

#include "millrace/server/handler.hpp"

namespace millrace::server {

class Constant final : public Handler {
 public:
  Constant(std::uint16_t status, http::Fields fields, std::string body)
      : status_(status), fields_(std::move(fields)), body_(std::move(body)) {}
  Where where() const override { return Where::on_loop; }
  Body body() const override { return Body::streamed; }
  void handle(conn::Exchange& exchange) override {
    exchange.native = true;
    http::ResponseHead head;
    head.status = status_;
    head.preset = &fields_;
    exchange.reply(std::move(head), base::Bytes::borrowed(body_));
  }

 private:
  std::uint16_t status_;
  http::Fields fields_;
  std::string body_;
};

}  // namespace millrace::server
