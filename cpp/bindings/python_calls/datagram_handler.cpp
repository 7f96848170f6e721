#include "datagram_handler.hpp"

#include "buffer.hpp"
#include "calls_now.hpp"
#include "context.hpp"
#include "host_module.hpp"
#include "watched_coroutine.hpp"

namespace millrace::python {
namespace {

Ref peer_of(const net::Endpoint& from) { return interpreter_state().peer_tuples.of(from); }

bool copy_bytes(PyObject* data, std::string& into) {
  Buffer const buffer(data);
  if (buffer) into = buffer.view();
  return static_cast<bool>(buffer);
}

void log_failure(PyObject* target, PyObject* peer) {
  Ref const exception = take_raised();
  Ref const logged(call_host("log_datagram_failure", peer, exception.get()));
  if (!logged) PyErr_WriteUnraisable(target);
}

// What Python holds of a call: empty once it was answered. An owner that goes without answering has
// failed.
using server::DatagramCall;
using CallOwner = std::unique_ptr<DatagramCall>;

CallOwner& owner_in(PyObject* capsule) {
  return *static_cast<CallOwner*>(PyCapsule_GetPointer(capsule, nullptr));
}

void fail(CallOwner& owner) {
  if (owner) DatagramCall::finish_late(std::move(owner), server::DatagramOutcome::failed);
}

PyObject* make_capsule(CallOwner call) {
  auto owner = std::make_unique<CallOwner>(std::move(call));
  auto* const capsule = PyCapsule_New(owner.get(), nullptr, [](PyObject* self) {
    std::unique_ptr<CallOwner> const mine(&owner_in(self));
    fail(*mine);
  });
  if (capsule) {
    (void)owner.release();
  } else {
    fail(*owner);
  }
  return capsule;
}

PyObject* answer_call(PyObject* capsule, PyObject* data) {
  auto& owner = owner_in(capsule);
  if (!owner) Py_RETURN_NONE;
  bool const is_silent = data == Py_None;
  if (!is_silent && !copy_bytes(data, owner->answer)) return nullptr;
  DatagramCall::finish_late(std::move(owner), is_silent ? server::DatagramOutcome::silent
                                                        : server::DatagramOutcome::answered);
  Py_RETURN_NONE;
}

PyObject* fail_call(PyObject* capsule, PyObject*) {
  fail(owner_in(capsule));
  Py_RETURN_NONE;
}

PyMethodDef answer_method{"answer", answer_call, METH_O, "Sends it, unless it is None."};
PyMethodDef fail_method{"fail", fail_call, METH_NOARGS, "Nothing where it was answered."};

}  // namespace

server::DatagramHandler::Outcome PlainDatagramHandler::handle(base::ByteView datagram,
                                                              const net::Endpoint& from,
                                                              std::string& answer) {
  InHandler const here(name_, from);
  Ref const data(to_bytes(datagram));
  Ref const peer = data ? peer_of(from) : Ref();
  if (!peer) {
    PyErr_WriteUnraisable(target_.get());
    return Outcome::failed;
  }
  RequestContext const context(interpreter_state());
  PyObject* arguments[] = {nullptr, data.get(), peer.get()};
  Ref const answered(PyObject_Vectorcall(target_.get(), arguments + 1,
                                         2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  if (answered && answered.get() == Py_None) return Outcome::silent;
  if (answered && copy_bytes(answered.get(), answer)) return Outcome::answered;
  log_failure(target_.get(), peer.get());
  return Outcome::failed;
}

// ----------------------------------------------------------------------------------------------
// coroutines

bool CoroutineDatagramHandler::serve_on(AsyncioHost& asyncio) {
  asyncio_ = &asyncio;
  tasks_ = Ref(PySet_New(nullptr));
  return static_cast<bool>(tasks_);
}

void CoroutineDatagramHandler::begin(std::unique_ptr<DatagramCall> call) {
  // Who reads it there.
  call->subject = this;
  call->open = [](net::Letter& letter) {
    std::unique_ptr<DatagramCall> opened(&static_cast<DatagramCall&>(letter));
    static_cast<CoroutineDatagramHandler*>(opened->subject)->open(std::move(opened));
  };
  asyncio_->reactor().deliver(*call.release());
}

// On the asyncio loop's thread, GIL held.
void CoroutineDatagramHandler::open(std::unique_ptr<DatagramCall> call) {
  auto const from = call->from;
  Ref const data(to_bytes(call->datagram)), peer = peer_of(from);
  Ref const capsule(make_capsule(std::move(call)));
  Ref const answer(capsule ? PyCFunction_New(&answer_method, capsule.get()) : nullptr);
  Ref const fail(capsule ? PyCFunction_New(&fail_method, capsule.get()) : nullptr);
  Ref coroutine(data && peer && answer && fail
                    ? call_host("serve_datagram", target_.get(), data.get(), peer.get(),
                                answer.get(), fail.get())
                    : nullptr);
  Ref const serving(coroutine ? new_watched_coroutine(std::move(coroutine), name_, from) : nullptr);
  Ref const begun(serving
                      ? call_host("begin_datagram", asyncio_->loop(), tasks_.get(), serving.get())
                      : nullptr);
  if (!begun) PyErr_WriteUnraisable(target_.get());
}

void CoroutineDatagramHandler::cancel() {
  asyncio_->reactor().post([this] {
    Ref const cancelled(call_host("cancel_all", tasks_.get()));
    if (!cancelled) PyErr_WriteUnraisable(target_.get());
  });
}

}  // namespace millrace::python
