// What answers a request.
#pragma once
#include "millrace/conn/exchange.hpp"

namespace millrace::server {

// One per route, shared by all loops. handle() must see to it that the exchange is answered once,
// then or later.
class Handler {
 public:
  enum class Where : std::uint8_t {
    on_loop,     // on the connection's loop, whatever the pattern: never blocks
    dispatched,  // where the pattern says
  };
  enum class Body : std::uint8_t {
    whole,     // buffered up to the limit before handle() is called
    streamed,  // flows while handle() works
  };
  virtual ~Handler() = default;
  virtual Where where() const = 0;
  virtual Body body() const = 0;
  virtual void handle(conn::Exchange& exchange) = 0;
};

}  // namespace millrace::server
