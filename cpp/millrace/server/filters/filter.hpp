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
};

}  // namespace millrace::server
