#include "streamed_body.hpp"

#include "calls_now.hpp"
#include "context.hpp"
#include "failure.hpp"

namespace millrace::python {

void StreamedBody::begin(conn::Exchange& exchange, const Route& route, RequestObject* request,
                         PyObject* context, PreparedAnswer answer) {
  auto* const body = new StreamedBody(exchange, route, request, context, std::move(answer));
  exchange.observe(body);
  if (exchange.head.method() == http::Method::head) {
    body->finish();  // there is nobody to read it
  } else {
    body->run();
  }
}

StreamedBody::StreamedBody(conn::Exchange& exchange, const Route& route, RequestObject* request,
                           PyObject* context, PreparedAnswer answer)
    : exchange_(exchange),
      route_(route),
      request_(request),
      context_(Ref::borrow(context)),
      answer_(std::move(answer)) {
  retry_.body = this;
  retry_.fire = [](net::WheelEntry& entry, base::Time) {
    static_cast<Retry&>(entry).body->dispatch();
  };
}

// GIL held, on the handler's side; after a true from park() somebody else may be running it, after
// the last call of each branch it may be gone.
void StreamedBody::run() {
  auto* const queue = route_.application->queue;
  for (int pieces = 0;; ++pieces) {
    if (exchange_.is_gone()) return abandon();
    if (!queue && pieces == pieces_per_turn) {
      open = [](net::Letter& letter) { static_cast<StreamedBody&>(letter).run(); };
      exchange_.home().deliver(*this);
      return;
    }
    bool has_room = true;
    if (!send_piece(has_room)) return PyErr_Occurred() ? fail() : finish();
    // A worker holds its letters until its batch is done; this one may take its time for the next
    // piece.
    if (queue) net::Outbox::mine().flush();
    if (!has_room && park()) return;
  }
}

// False: the iterator is at its end, or an exception is raised.
bool StreamedBody::send_piece(bool& has_room) {
  InHandler const here(route_, &exchange_);
  Entered const context(context_.get());
  Ref const chunk(PyIter_Next(answer_.chunks.get()));
  if (!chunk) return false;
  auto bytes = chunk_bytes(chunk.get(), exchange_);
  if (bytes.empty()) return !PyErr_Occurred();
  if (!exchange_.has_started()) {
    settle_type(answer_, chunk.get());
    exchange_.start(std::move(answer_.head));
  }
  has_room = exchange_.write(std::move(bytes));
  return true;
}

// False: there is room meanwhile.
bool StreamedBody::park() {
  auto expected = State::running;
  if (state_.compare_exchange_strong(expected, State::parked)) return true;
  state_.store(State::running);
  return false;
}

// On the home loop.
void StreamedBody::go_on() {
  auto before = state_.load();
  while (
      !state_.compare_exchange_weak(before, before == State::parked ? State::running : State::told))
    continue;
  if (before == State::parked) dispatch();
}

void StreamedBody::dispatch() {
  auto* const queue = route_.application->queue;
  if (!queue) {
    run();  // loops that run handlers hold the GIL
    return;
  }
  auto const queued =
      queue->dispatch({this, [](void* subject) { static_cast<StreamedBody*>(subject)->run(); }});
  if (queued) return;
  auto& home = exchange_.home();
  home.wheel().arm(retry_,
                   home.now() + base::milliseconds(20));  // the queue is full: a little later
}

conn::Exchange& StreamedBody::let_go() {
  auto& exchange = exchange_;
  {
    Entered const context(context_.get());
    // What a generator has in its `finally` runs now, in its own context, not whenever it is
    // collected.
    if (PyObject_HasAttrString(answer_.chunks.get(), "close")) {
      Ref const closed(PyObject_CallMethod(answer_.chunks.get(), "close", nullptr));
      if (!closed) PyErr_WriteUnraisable(answer_.chunks.get());
    }
    answer_ = {};  // what it holds of Python goes while the lock is held
    leave_request(std::exchange(request_, nullptr));
  }
  context_.reset();
  return exchange;
}

void StreamedBody::finish() {
  http::Fields trailers;
  bool has_trailers = false;
  {
    Entered const context(context_.get());
    has_trailers = collect_trailers(answer_, trailers);
  }
  if (!has_trailers) return fail();
  if (!exchange_.has_started()) exchange_.start(std::move(answer_.head));
  Ref const background = std::move(answer_.background);
  auto const& route = route_;
  let_go().finish(std::move(trailers));
  if (background) start_background(route, background.get());
}

void StreamedBody::fail() {
  auto const status = report(request_);
  if (status >= 500) count_failure(exchange_);
  bool const has_started = exchange_.has_started();
  auto& exchange = let_go();
  if (has_started) {
    exchange.fail(
        base::Error{base::Errc::io_error, {}, "the handler raised while it streamed its answer"});
  } else {
    send_status(exchange, status);
  }
}

void StreamedBody::abandon() { let_go().fail(base::Error{base::Errc::cancelled, {}, {}}); }

}  // namespace millrace::python
