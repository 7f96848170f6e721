#include "answer.hpp"
#include "calls_now.hpp"
#include "context.hpp"
#include "coroutine_call.hpp"
#include "failure.hpp"
#include "handlers.hpp"
#include "request.hpp"
#include "streamed_body.hpp"

namespace millrace::python {
namespace {

// The exception being raised is reported, the client gets its status.
void answer_failure(conn::Exchange& exchange, RequestObject* request) {
  auto const status = report(request);
  if (status >= 500) count_failure(exchange);
  leave_request(request);
  send_status(exchange, status);
}

// A result or, where the handler raised, what on_exception answers. Null and an exception raised:
// neither.
Ref call(const Route& route, RequestObject* request, bool& was_rescued) {
  Ref result(call_one(route.target.get(), as_object(request)));
  if (result) return result;
  was_rescued = true;
  return Ref(rescue(request));
}

// An asynchronous iterator on its way to the asyncio loop, which alone can drive it.
struct HandOver : net::Letter {
  conn::Exchange* exchange;
  const Route* route;
  RequestObject* request;
  Ref context;
  PreparedAnswer answer;
};

// False and an exception raised where there is no such loop.
bool hand_over(conn::Exchange& exchange, const Route& route, RequestObject* request,
               PyObject* context, PreparedAnswer& answer) {
  auto* const asyncio = route.application->need_asyncio();
  if (!asyncio) return false;
  auto* const letter =
      new HandOver{{}, &exchange, &route, request, Ref::borrow(context), std::move(answer)};
  letter->open = [](net::Letter& l) {
    std::unique_ptr<HandOver> const mine(static_cast<HandOver*>(&l));
    auto& host = *mine->route->application->asyncio;
    auto* const call = new CoroutineCall(host, *mine->exchange, *mine->route);
    call->begin_with(mine->request, mine->context.get(), std::move(mine->answer));
  };
  asyncio->reactor().deliver(*letter);
  return true;
}

}  // namespace

void PlainHandler::handle(conn::Exchange& exchange) {
  InHandler const here(route_, &exchange);
  auto* const request = make_request(exchange, route_, nullptr);
  if (!request) Py_FatalError("out of memory");
  RequestContext context(route_.application->python);
  bool was_rescued = false;
  Ref const result = call(route_, request, was_rescued);
  PreparedAnswer answer;
  if (!result || !prepare_for(exchange, result.get(), answer)) {
    answer_failure(exchange, request);
    return;
  }
  if (was_rescued && answer.head.status >= 500) count_failure(exchange);
  switch (answer.form) {
    case PreparedAnswer::Form::whole:
    case PreparedAnswer::Form::file:
      break;
    case PreparedAnswer::Form::chunks:
      context.leave();  // the body enters it for each piece
      StreamedBody::begin(exchange, route_, request, context.get(), std::move(answer));
      return;
    case PreparedAnswer::Form::async_chunks:
      context.leave();
      if (!hand_over(exchange, route_, request, context.get(), answer))
        answer_failure(exchange, request);
      return;
  }
  leave_request(request);
  Ref const background = std::move(answer.background);
  if (!background) context.leave();  // what sending sets off is not this request's
  send(exchange, answer);
  if (background) start_background(route_, background.get());
}

}  // namespace millrace::python
