// What sees every request before the router does, and may have a part in its answer.
#pragma once
#include "millrace/conn/exchange.hpp"

namespace millrace::server {

// Made before the server starts, one for all loops: what changes in it is its own to guard.
class Filter {
 public:
  enum class Verdict : std::uint8_t { go_on, answered };
  virtual ~Filter() = default;
  // The request's half, on its home loop. It lets the request go on, with what it has to say in
  // exchange.filtered() (the answer's half), or answers it itself: no filter after it, and no
  // handler, sees it then.
  virtual Verdict on_request(conn::Exchange& exchange) = 0;

 protected:
  // The filter's own answer.
  static Verdict answer(conn::Exchange& exchange, http::ResponseHead head, base::Bytes body = {}) {
    exchange.native = true;
    exchange.reply(std::move(head), std::move(body));
    return Verdict::answered;
  }
  // The same, counted as a refusal. `why` is text that outlives the answer.
  static Verdict refuse(conn::Exchange& exchange, std::uint16_t status, base::ByteView why) {
    static const http::Fields text{{"Content-Type", "text/plain; charset=utf-8"}};
    exchange.home().counters().requests_denied.add();
    return answer(exchange, {.status = status, .preset = &text, .fields = {}, .content_length = {}},
                  base::Bytes::borrowed(why));
  }
};

}  // namespace millrace::server
