#include "datagram_handler.hpp"

#include "buffer.hpp"
#include "context.hpp"
#include "host_module.hpp"

namespace millrace::python {
namespace {

Ref peer_of(const net::Endpoint& from) {
  return Ref(Py_BuildValue("si", from.host().c_str(), static_cast<int>(from.port())));
}

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

}  // namespace

server::DatagramHandler::Outcome PlainDatagramHandler::handle(base::ByteView datagram,
                                                              const net::Endpoint& from,
                                                              std::string& answer) {
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

}  // namespace millrace::python
