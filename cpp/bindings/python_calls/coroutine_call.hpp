// A coroutine handler's call, from its request to its answer.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "answer.hpp"
#include "asyncio_host.hpp"
#include "request.hpp"

#include "millrace/conn/exchange.hpp"

namespace millrace::python {

// Lives on the asyncio thread, where all but the observer's functions are called with the GIL held;
// hears of its exchange by letter where that lives on another loop. Recycled when both the
// coroutine and the exchange are done with it.
class CoroutineCall final : public conn::ExchangeObserver, public net::Letter {
 public:
  enum class Progress : std::uint8_t {
    yielded,    // it waits; what it yielded has been handed out
    finished,   // it has been answered
    cancelled,  // the same, and CancelledError is being raised
  };

  CoroutineCall(AsyncioHost& host, conn::Exchange& exchange, const Route& route);
  CoroutineCall(const CoroutineCall&) = delete;
  CoroutineCall& operator=(const CoroutineCall&) = delete;

  // Calls the handler and steps what it returns until that waits or is finished.
  void begin();
  // The handler was a plain function and has returned an asynchronous iterator. Takes over
  // `request`.
  void begin_with(RequestObject* request, PyObject* context, PreparedAnswer answer);
  Progress send(PyObject* value, PyObject** yielded);
  Progress throw_in(PyObject* exception, PyObject** yielded);
  // The task that goes on with it. Kept alive until the coroutine is done: asyncio itself would
  // not. `resume` stands for the coroutine in it.
  void adopt_task(PyObject* task, PyObject* resume);
  PyObject* coroutine() const { return coroutine_.get(); }  // borrowed
  const Route& route() const { return route_; }
  AsyncioHost& host() { return host_; }
  // The coroutine's side is done with this object.
  void release();

  // --- for the request and the answer's writer
  conn::Exchange* exchange() const { return exchange_; }
  std::size_t body_limit() const {
    return exchange_->body_limit().value_or(route_.application->body_bytes);
  }
  // Lets the body flow.
  void want_body();
  // A future for when there is more of it; null and RuntimeError where somebody waits already.
  PyObject* wait_for_body();
  PyObject* wait_for_room();
  // Sends a piece; 0: wait_for_room() before the next, -1: an exception is raised.
  int write(PyObject* chunk);

  // --- conn::ExchangeObserver, on the exchange's home loop
  void on_body(conn::Exchange&) override { notify(body_came); }
  void on_room(conn::Exchange&) override { notify(room_came); }
  void on_gone(conn::Exchange&) override { notify(client_gone); }
  void on_released() override { notify(exchange_over); }

 private:
  friend class AsyncioHost;
  enum Notice : std::uint8_t { body_came = 1, room_came = 2, client_gone = 4, exchange_over = 8 };

  ~CoroutineCall() = default;
  void take_first_step(Ref coroutine, PyObject* context);
  Progress settle(PySendResult status, PyObject* result, PyObject** yielded);
  // What the coroutine returned or raised becomes the answer, or the next coroutine to run.
  Ref take_result(PyObject* result);
  Ref take_exception();
  Ref begin_stream(PreparedAnswer answer);
  void start_stream_if_settled();
  void end_stream();
  void wait();
  // The request leaves the exchange, which is returned for its last use.
  conn::Exchange& let_go();
  void fail();
  void observe();
  void notify(Notice notice);
  void take(std::uint8_t notices);
  void drop_holder();
  // Where neither loop nor exchange will say anything any more.
  void abandon();

  AsyncioHost& host_;
  conn::Exchange* exchange_;  // null once the answer is on its way
  const Route& route_;
  RequestObject* request_ = nullptr;
  Ref coroutine_, task_, writer_, body_waiter_, room_waiter_;
  std::unique_ptr<PreparedAnswer> stream_;  // while it streams
  PyObject* resume_ = nullptr;              // what the task steps, borrowed
  std::atomic<std::uint8_t> notices_{0};    // not 0: the letter is under way
  int holders_ = 1;
  bool is_observing_ = false;
  bool wants_body_ = false;
  bool was_rescued_ = false;   // on_exception has been asked: a second exception is reported
  bool is_cancelled_ = false;  // by us, since the client left
  CoroutineCall *previous_ = nullptr, *next_ = nullptr;  // in the host's list
};

}  // namespace millrace::python
