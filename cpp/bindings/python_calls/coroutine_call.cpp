#include "coroutine_call.hpp"

#include "answer_writer.hpp"
#include "calls_now.hpp"
#include "context.hpp"
#include "failure.hpp"
#include "handler_task.hpp"
#include "host_module.hpp"
#include "interpreter_state.hpp"
#include "steps.hpp"

namespace millrace::python {
namespace {

bool is_awaitable(PyObject* object) {
  auto const* const async = Py_TYPE(object)->tp_as_async;
  return PyCoro_CheckExact(object) || (async && async->am_await);
}

// Lets whoever awaits it go on.
void wake(Ref& waiter) {
  if (!waiter) return;
  Ref const future = std::move(waiter);
  Ref const woken(call_host("wake", future.get()));
  if (!woken) PyErr_WriteUnraisable(future.get());
}

}  // namespace

CoroutineCall::CoroutineCall(AsyncioHost& host, conn::Exchange& exchange, const Route& route)
    : host_(host), exchange_(&exchange), route_(route) {
  open = [](net::Letter& letter) {
    auto& call = static_cast<CoroutineCall&>(letter);
    call.take(call.notices_.exchange(0));
  };
  host_.add(*this);
}

// ----------------------------------------------------------------------------------------------
// steps

void CoroutineCall::begin() {
  InHandler const here(route_, exchange_);
  request_ = make_request(*exchange_, route_, this);
  if (!request_) Py_FatalError("out of memory");
  RequestContext context(route_.application->python);
  Ref made(call_one(route_.target.get(), as_object(request_)));
  if (made && !PyCoro_CheckExact(made.get()))
    made =
        is_awaitable(made.get()) ? Ref(call_host("awaited", made.get())) : take_result(made.get());
  else if (!made)
    made = take_exception();
  take_first_step(std::move(made), context.get());
}

void CoroutineCall::begin_with(RequestObject* request, PyObject* context, PreparedAnswer answer) {
  request_ = request;
  request_->call = this;
  Entered const entered(context);
  take_first_step(begin_stream(std::move(answer)), context);
}

void CoroutineCall::take_first_step(Ref coroutine, PyObject* context) {
  if (!coroutine) {  // it was answered without one
    PyErr_Clear();
    release();
    return;
  }
  coroutine_ = std::move(coroutine);
  FirstStep step(*this, context);
  PyObject* yielded = nullptr;
  auto progress = Progress::yielded;
  if (host_.has_current_task()) {
    progress = send(Py_None, &yielded);
  } else {
    yielded = Py_NewRef(Py_None);
  }
  if (progress == Progress::yielded) {
    if (step.make_real()) {
      step.go_on_later(yielded);
      wait();
      return;
    }
    Py_DECREF(yielded);
    fail();
  } else {
    PyErr_Clear();  // a cancellation has nobody to go to
  }
  step.finish();
  release();
}

CoroutineCall::Progress CoroutineCall::send(PyObject* value, PyObject** yielded) {
  InHandler const here(route_, exchange_);
  PyObject* result = nullptr;
  auto const status = PyIter_Send(coroutine_.get(), value, &result);
  return settle(status, result, yielded);
}

CoroutineCall::Progress CoroutineCall::throw_in(PyObject* exception, PyObject** yielded) {
  InHandler const here(route_, exchange_);
  auto* result =
      PyObject_CallMethodOneArg(coroutine_.get(), interpreter_state().names.throw_in, exception);
  auto const status = as_step(result);
  return settle(status, result, yielded);
}

CoroutineCall::Progress CoroutineCall::settle(PySendResult status, PyObject* result,
                                              PyObject** yielded) {
  for (;;) {
    if (status == PYGEN_NEXT) {
      start_stream_if_settled();
      *yielded = result;
      return Progress::yielded;
    }
    Ref const returned(status == PYGEN_RETURN ? result : nullptr);
    Ref next = returned ? take_result(returned.get()) : take_exception();
    if (!next) return PyErr_Occurred() ? Progress::cancelled : Progress::finished;
    coroutine_ = std::move(next);
    status = PyIter_Send(coroutine_.get(), Py_None, &result);
  }
}

void CoroutineCall::adopt_task(PyObject* task, PyObject* resume) {
  task_ = Ref::borrow(task);
  resume_ = resume;
}

// The first step is over and the coroutine waits.
void CoroutineCall::wait() {
  bool const has_left_already = is_cancelled_;
  observe();
  if (has_left_already) take(client_gone);  // now there is a task to cancel
}

void CoroutineCall::release() {
  if (request_) (void)let_go();
  resume_ = nullptr;
  coroutine_.reset();
  task_.reset();
  drop_holder();
}

// ----------------------------------------------------------------------------------------------
// answers

Ref CoroutineCall::take_result(PyObject* result) {
  if (stream_) {
    end_stream();
    return {};
  }
  PreparedAnswer answer;
  if (!prepare_for(*exchange_, result, answer)) {
    fail();
    return {};
  }
  bool const is_streamed = answer.form == PreparedAnswer::Form::chunks ||
                           answer.form == PreparedAnswer::Form::async_chunks;
  if (is_streamed) return begin_stream(std::move(answer));
  if (was_rescued_ && answer.head.status >= 500) count_failure(*exchange_);
  python::send(let_go(), answer);
  if (answer.background) start_background(route_, answer.background.get());
  return {};
}

Ref CoroutineCall::take_exception() {
  bool const is_unwanted = is_cancelled_ || host_.is_stopping() || exchange_->is_gone();
  if (is_unwanted && is_cancellation(PyErr_Occurred())) {
    Ref cancelled = take_raised();
    let_go().fail(base::Error{base::Errc::cancelled, {}, {}});
    raise(std::move(cancelled));
    return {};
  }
  if (exchange_->is_gone()) {
    // A reader of the body hears of the client's end in one of two ways, whichever comes first:
    // cancelled, or by this. Neither is a failure of the handler.
    Ref raised = take_raised();
    if (is_of_a_connection(raised.get())) {
      let_go().fail(base::Error{base::Errc::cancelled, {}, {}});
      return {};
    }
    raise(std::move(raised));
  }
  if (!stream_ && !std::exchange(was_rescued_, true)) {
    if (Ref const answer{rescue(request_)}; answer)
      return is_awaitable(answer.get()) ? Ref(call_host("awaited", answer.get()))
                                        : take_result(answer.get());
  }
  fail();
  return {};
}

// The exception being raised is reported; the client gets a 500, or sees its answer break off.
void CoroutineCall::fail() {
  auto const status = report(request_);
  if (status >= 500) count_failure(*exchange_);
  bool const has_started = exchange_->has_started();
  auto& exchange = let_go();
  if (has_started) {
    exchange.fail(
        base::Error{base::Errc::io_error, {}, "the handler raised while it streamed its answer"});
  } else {
    send_status(exchange, status);
  }
}

Ref CoroutineCall::begin_stream(PreparedAnswer answer) {
  char const* drive =
      answer.form == PreparedAnswer::Form::chunks ? "stream_iterator" : "stream_async_iterator";
  if (exchange_->head.method() == http::Method::head)
    drive = "close_chunks";  // there is nobody to read them
  stream_ = std::make_unique<PreparedAnswer>(std::move(answer));
  writer_ = Ref(new_answer_writer(*this));
  observe();
  Ref coroutine(writer_ ? call_host(drive, writer_.get(), stream_->chunks.get()) : nullptr);
  if (!coroutine) fail();
  return coroutine;
}

int CoroutineCall::write(PyObject* chunk) {
  auto bytes = chunk_bytes(chunk, *exchange_);
  if (bytes.empty()) return PyErr_Occurred() ? -1 : 1;
  if (!exchange_->has_started()) {
    settle_type(*stream_, chunk);
    exchange_->start(std::move(stream_->head));
  }
  return exchange_->write(std::move(bytes));
}

// A head whose content type is known need not wait for the first piece: event streams may have none
// for minutes. The others wait, so that what is raised before it still becomes a 500.
void CoroutineCall::start_stream_if_settled() {
  if (stream_ && exchange_ && stream_->names_type && !exchange_->has_started())
    exchange_->start(std::move(stream_->head));
}

void CoroutineCall::end_stream() {
  http::Fields trailers;
  if (!collect_trailers(*stream_, trailers)) return fail();
  if (!exchange_->has_started()) exchange_->start(std::move(stream_->head));
  Ref const background = std::move(stream_->background);
  let_go().finish(std::move(trailers));
  if (background) start_background(route_, background.get());
}

conn::Exchange& CoroutineCall::let_go() {
  auto& exchange = *exchange_;
  if (writer_) detach_writer(writer_.get());
  writer_.reset();
  leave_request(std::exchange(request_, nullptr));
  exchange_ = nullptr;
  wake(body_waiter_);  // they see that it is over
  wake(room_waiter_);
  return exchange;
}

// ----------------------------------------------------------------------------------------------
// waiting

void CoroutineCall::want_body() {
  if (std::exchange(wants_body_, true)) return;
  observe();
  exchange_->return_credit();
}

PyObject* CoroutineCall::wait_for_body() {
  if (body_waiter_) {
    Ref const is_over(PyObject_CallMethod(body_waiter_.get(), "done", nullptr));
    if (!is_over) return nullptr;
    if (is_over.get() != Py_True) {
      PyErr_SetString(PyExc_RuntimeError, "the body is being read by another task");
      return nullptr;
    }
  }
  body_waiter_ = Ref(host_.create_future());
  return Py_XNewRef(body_waiter_.get());
}

PyObject* CoroutineCall::wait_for_room() {
  room_waiter_ = Ref(host_.create_future());
  return Py_XNewRef(room_waiter_.get());
}

void CoroutineCall::observe() {
  if (!exchange_ || std::exchange(is_observing_, true)) return;
  ++holders_;
  exchange_->observe(this);
  if (exchange_->is_gone()) notify(client_gone);
}

// On the exchange's home loop. The letter is under way from the first notice to its opening, so a
// second one only adds to it; after that addition this object may already be gone.
void CoroutineCall::notify(Notice notice) {
  if (notices_.fetch_or(notice) != 0) return;
  if (host_.in_thread()) {
    take(notices_.exchange(0));
  } else {
    host_.reactor().deliver(*this);
  }
}

void CoroutineCall::take(std::uint8_t notices) {
  if (notices & body_came) wake(body_waiter_);
  if (notices & room_came) wake(room_waiter_);
  if ((notices & client_gone) && exchange_) {
    is_cancelled_ = true;
    // Without a task the first step is under way: wait() comes back to it.
    Ref const cancelled(task_ ? PyObject_CallMethod(task_.get(), "cancel", nullptr)
                              : Py_NewRef(Py_None));
    if (!cancelled) PyErr_WriteUnraisable(task_.get());
  }
  if (notices & exchange_over) drop_holder();
}

void CoroutineCall::drop_holder() {
  if (--holders_) return;
  host_.remove(*this);
  delete this;
}

void CoroutineCall::abandon() {
  if (resume_) detach_resume(resume_);
  if (request_) (void)let_go();
  coroutine_.reset();
  task_.reset();
  host_.remove(*this);
  delete this;
}

}  // namespace millrace::python
