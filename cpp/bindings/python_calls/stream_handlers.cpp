#include "stream_handlers.hpp"

#include <atomic>

#include "buffer.hpp"
#include "calls_now.hpp"
#include "context.hpp"
#include "host_module.hpp"
#include "watched_coroutine.hpp"

namespace millrace::python {
namespace {

// A Python object that is dropped where the GIL is.
class Held final : public conn::Attachment {
 public:
  explicit Held(Ref object) : object_(object.release()) {}
  ~Held() override { drop_later(object_); }
  PyObject* get() const { return object_; }

 private:
  PyObject* object_;
};

// The connection's object, made for the first message. Null and an exception raised: no memory.
std::shared_ptr<Held> object_of(conn::Conversation& conversation, MakeConnection make) {
  if (auto held = conversation.handlers_object())
    return std::static_pointer_cast<Held>(std::move(held));
  Ref object(make(conversation.shared_from_this()));
  if (!object) return nullptr;
  // The conversation keeps it, and so does the call that uses it.
  auto held = std::make_shared<Held>(std::move(object));
  conversation.set_handlers_object(held);
  return held;
}

void log_failure(PyObject* connection) {
  Ref const exception = take_raised();
  Ref const logged(call_host("log_connection_failure", connection, exception.get()));
  if (!logged) PyErr_WriteUnraisable(connection);
}

base::Result<bool> write(conn::Conversation& conversation, PyObject* data, base::ByteView bytes) {
  bool const is_kept = PyBytes_CheckExact(data) && bytes.size() > base::ByteChain::copy_below &&
                       conversation.in_thread();
  if (!is_kept) return conversation.write_copy(bytes);
  return conversation.write(base::Bytes::owned(bytes, Py_NewRef(data), drop_later));
}

}  // namespace

bool send_bytes(conn::Conversation& conversation, PyObject* data) {
  Buffer const buffer(data);
  if (!buffer) return false;
  auto const written = write(conversation, data, buffer.view());
  if (written || written.error().fault() != base::Fault::local || conversation.is_closed())
    return true;
  raise_error(written.error());
  return false;
}

bool PlainStreamHandler::handle(conn::Conversation& conversation, base::ByteView message) {
  InHandler const here(name_, conversation.peer());
  auto const connection = object_of(conversation, make_);
  Ref const data(connection ? to_bytes(message) : nullptr);
  if (!data) {
    PyErr_WriteUnraisable(target_.get());
    return false;
  }
  RequestContext const context(interpreter_state());
  PyObject* arguments[] = {nullptr, connection->get(), data.get()};
  Ref const answer(PyObject_Vectorcall(target_.get(), arguments + 1,
                                       2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  bool const is_done =
      answer && (answer.get() == Py_None || send_bytes(conversation, answer.get()));
  if (!is_done) log_failure(connection->get());
  return is_done;
}

// ----------------------------------------------------------------------------------------------
// coroutines

// A connection's way to its task: a letter to begin it, then one for news. Shared by the
// conversation, which tells of news, and by the letter while it is under way.
class CoroutineStreamHandler::Call final : public net::Letter,
                                           public std::enable_shared_from_this<Call> {
 public:
  Call(CoroutineStreamHandler& handler, conn::SharedConversation conversation)
      : handler_(handler),
        conversation_(std::move(conversation)),
        asyncio_(*handler.asyncio_),
        in_flight_(handler.server_->calls_under_way()) {
    open = [](net::Letter& letter) { static_cast<Call&>(letter).opened(); };
  }
  ~Call() {
    if (object_) drop_later(object_);
  }
  // Any thread.
  void send() {
    if (is_under_way_.exchange(true)) return;
    travelling_ = shared_from_this();
    asyncio_.reactor().deliver(*this);
  }

 private:
  // On the asyncio loop's thread, GIL held.
  void opened() {
    auto const alive = std::move(travelling_);
    is_under_way_.store(false);
    if (has_failed_) return;
    Ref const done(object_ ? call_host("news_of_connection", object_) : begin());
    if (!done) PyErr_WriteUnraisable(handler_.target_.get());
  }
  PyObject* begin() {
    auto const conversation = std::exchange(conversation_, nullptr);
    object_ = handler_.make_(conversation);
    Ref const token(object_ ? call_token() : nullptr);
    if (!token) in_flight_->fetch_sub(1, std::memory_order_relaxed);
    Ref const serving(token ? serve(conversation->peer(), token.get()) : nullptr);
    auto* const begun =
        serving ? call_host("begin_connection", asyncio_.loop(), serving.get(), object_) : nullptr;
    has_failed_ = !begun;
    if (has_failed_) {
      conversation->abort();
    } else if (conversation->is_closed()) {
      send();  // the end of the connection may have come before the task
    }
    return begun;
  }
  // What the task steps.
  PyObject* serve(const net::Endpoint& peer, PyObject* token) {
    Ref coroutine(call_host("serve_connection", handler_.target_.get(), object_, token));
    return coroutine ? new_watched_coroutine(std::move(coroutine), handler_.name_, peer) : nullptr;
  }
  // Lives as long as the task's coroutine: then the call is over.
  PyObject* call_token() {
    // As in_flight_.
    using Counter = std::shared_ptr<std::atomic<std::size_t>>;
    auto counter = std::make_unique<Counter>(in_flight_);
    auto* const capsule = PyCapsule_New(counter.get(), nullptr, [](PyObject* self) {
      std::unique_ptr<Counter> const mine(
          static_cast<Counter*>(PyCapsule_GetPointer(self, nullptr)));
      (*mine)->fetch_sub(1, std::memory_order_relaxed);
    });
    if (capsule) (void)counter.release();
    return capsule;
  }

  CoroutineStreamHandler& handler_;
  conn::SharedConversation conversation_;  // until it begins
  AsyncioHost& asyncio_;
  std::shared_ptr<std::atomic<std::size_t>> in_flight_;  // the server's, which calls may outlive
  PyObject* object_ = nullptr;
  bool has_failed_ = false;  // there is no task to tell of news
  std::atomic<bool> is_under_way_{false};
  std::shared_ptr<Call> travelling_;
};

void CoroutineStreamHandler::begin(conn::Conversation& conversation) {
  // Held by what the conversation tells of news, and by its letters.
  auto call = std::make_shared<Call>(*this, conversation.shared_from_this());
  conversation.watch([call] { call->send(); });
  call->send();
}

}  // namespace millrace::python
