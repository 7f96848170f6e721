#include "millrace/server/body_memory.hpp"

#include <algorithm>
#include <limits>

namespace millrace::server {

using conn::Exchange;

bool BodyMemory::is_above_mark() const {
  return held_.load() + promised_.load() > options_.high_water_bytes;
}

bool BodyMemory::may_begin(Exchange& exchange) {
  if (line_.size() == 0 && !is_above_mark()) return true;
  // As many as are in flight.
  auto const any_number = std::numeric_limits<std::size_t>::max();
  line_.join(exchange, {any_number, options_.patience, &trace::LoopCounters::bodies_paused});
  line_.advance();  // somebody may have left just before it stood in line
  return false;
}

bool BodyMemory::hold(Exchange& exchange, std::size_t bytes) {
  if (auto const foreseen = std::min(bytes, exchange.promised)) {
    exchange.promised -= foreseen;
    promised_.fetch_sub(foreseen);
  }
  exchange.held += bytes;
  return held_.fetch_add(bytes) + bytes <= options_.most;
}

void BodyMemory::leave(Exchange& exchange) {
  auto const held = std::exchange(exchange.held, 0);
  auto const promised = std::exchange(exchange.promised, 0);
  if (held + promised == 0) return;
  held_.fetch_sub(held);
  if (promised != 0) promised_.fetch_sub(promised);
  line_.advance();
}

bool BodyMemory::take_place() {
  if (is_above_mark()) return false;
  promised_.fetch_add(options_.promise);
  return true;
}

void BodyMemory::return_place() {
  promised_.fetch_sub(options_.promise);
  line_.advance();
}

void BodyMemory::on_turn(Exchange& exchange) {
  exchange.promised = options_.promise;
  begin_(exchange);
}

}  // namespace millrace::server
