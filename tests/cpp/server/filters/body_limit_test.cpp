#include "one_filter.hpp"

namespace millrace::server {
namespace {

// A handler that streams: it reads what is there whenever something is.
class BodyLimit : public OneFilter, public conn::ExchangeObserver {
 protected:
  void limit(std::int64_t bytes) {
    handler = [this](conn::Exchange& x) {
      x.observe(this);
      x.body.limit(*x.body_limit());  // as the server does
      x.stream_body();
      on_body(x);
    };
    filter("body_limit", {{"bytes", bytes}});
    peer->says("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  }
  void on_body(conn::Exchange& exchange) override {
    for (;;) {
      auto piece = exchange.body.read();
      if (!piece) {
        failure = piece.error().code;
        exchange.fail(piece.take_error());
        return;
      }
      if (piece->waiting) return;
      if (piece->at_end) {
        exchange.reply({}, base::Bytes::from(std::to_string(read.size())));
        return;
      }
      read += piece->bytes.view();
      exchange.return_credit();
    }
  }
  void on_room(conn::Exchange&) override {}
  void on_gone(conn::Exchange& exchange) override {
    exchange.fail({base::Errc::cancelled, {}, {}});
  }
  void on_released() override {}

  std::string read;
  std::optional<base::Errc> failure;
};

TEST_F(BodyLimit, LetsABodyOfItsSizeThrough) {
  limit(5);
  peer->says("2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n");
  EXPECT_EQ(status_of(peer->heard), 200);
  EXPECT_EQ(read, "abcde");
}

TEST_F(BodyLimit, EndsAStreamedBodyThatGrowsBeyond) {
  limit(5);
  peer->says("2\r\nab\r\n");
  peer->says("4\r\ncdef\r\n1\r\ng\r\n0\r\n\r\n");
  EXPECT_EQ(read, "ab");
  EXPECT_EQ(failure, base::Errc::body_too_large);
  EXPECT_EQ(status_of(peer->heard), 413);
}

}  // namespace
}  // namespace millrace::server
