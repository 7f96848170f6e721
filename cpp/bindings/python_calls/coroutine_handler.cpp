#include "asyncio_host.hpp"
#include "coroutine_call.hpp"
#include "handlers.hpp"

namespace millrace::python {

using trace::Moment;

void CoroutineHandler::handle(conn::Exchange& exchange) {
  auto& asyncio = *route_.application->asyncio;
  if (asyncio.in_thread()) {
    (new CoroutineCall(asyncio, exchange, route_))->begin();
    return;
  }
  // The exchange itself is the letter: what this turn brings goes over together.
  if (exchange.stamping()) exchange.stamps.stamp(Moment::queued, net::Reactor::clock());
  exchange.open = [](net::Letter& letter) { begin(static_cast<conn::Exchange&>(letter)); };
  asyncio.reactor().deliver(exchange);
}

// On the asyncio thread.
void CoroutineHandler::begin(conn::Exchange& exchange) {
  if (exchange.stamping()) exchange.stamps.stamp(Moment::handler_started, net::Reactor::clock());
  if (exchange.is_gone()) {
    exchange.fail(base::Error{base::Errc::cancelled, {}, {}});
    return;
  }
  auto const& route =
      static_cast<CoroutineHandler*>(static_cast<server::Handler*>(exchange.subject))->route_;
  (new CoroutineCall(*route.application->asyncio, exchange, route))->begin();
}

}  // namespace millrace::python
