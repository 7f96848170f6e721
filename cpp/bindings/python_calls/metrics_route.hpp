// A route that answers with the server's metrics, as Prometheus reads them. Never enters Python.
#pragma once
#include <functional>

#include "millrace/observe/metrics.hpp"
#include "millrace/server/handler.hpp"

namespace millrace::python {

// Collects and writes on the connection's loop: some tens of microseconds, in which its other
// connections wait.
class MetricsHandler final : public server::Handler {
 public:
  explicit MetricsHandler(std::function<observe::Metrics()> collect)
      : collect_(std::move(collect)) {}
  Where where() const override { return Where::on_loop; }
  Body body() const override { return Body::streamed; }
  void handle(conn::Exchange& exchange) override {
    static const http::Fields fields{{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}};
    exchange.native = true;
    exchange.reply({.status = 200, .preset = &fields, .fields = {}, .content_length = {}},
                   base::Bytes::from(observe::render_prometheus(collect_())));
  }

 private:
  std::function<observe::Metrics()> collect_;
};

}  // namespace millrace::python
