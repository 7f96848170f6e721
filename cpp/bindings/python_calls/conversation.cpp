#include "conversation.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "client_loop.hpp"
#include "host_module.hpp"

namespace millrace::python {
namespace {

// How soon Ctrl-C is heard.
constexpr base::Duration slice = base::milliseconds(50);

}  // namespace

PyObject* take(conn::Conversation& conversation, const conn::Want& want) {
  std::string bytes;
  auto taken = conversation.take(want, bytes);
  if (!taken) {
    raise_error(taken.error());
    return nullptr;
  }
  switch (*taken) {
    case conn::Conversation::Taken::wait:
      return Py_NewRef(Py_None);
    case conn::Conversation::Taken::end:
      return Py_NewRef(Py_False);
    case conn::Conversation::Taken::done:
      break;
  }
  return to_bytes(bytes);
}

PyObject* write(conn::Conversation& conversation, PyObject* data) {
  Py_buffer view;
  if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return nullptr;
  auto const written = conversation.write_copy(
      {static_cast<const char*>(view.buf), static_cast<std::size_t>(view.len)});
  PyBuffer_Release(&view);
  if (written) return PyBool_FromLong(written.value());
  raise_error(written.error());
  return nullptr;
}

PyObject* write_at_once(conn::Conversation& conversation, PyObject* data) {
  auto* const written = write(conversation, data);
  net::Outbox::mine().flush();
  return written;
}

PyObject* peer_of(const conn::Conversation& conversation) {
  auto const& peer = conversation.peer();
  auto const host = peer.host();
  if (host.empty()) return Py_NewRef(Py_None);
  if (peer.is_unix()) return to_str(host);
  return Py_BuildValue("si", host.c_str(), static_cast<int>(peer.port()));
}

PyObject* wait_for_news(conn::News& news, base::Time deadline) {
  for (;;) {
    bool has_news = false;
    auto const now = net::Reactor::clock();
    Py_BEGIN_ALLOW_THREADS;
    has_news = news.wait_for_news(std::min(deadline, now + slice));
    Py_END_ALLOW_THREADS;
    if (PyErr_CheckSignals() < 0) return nullptr;
    if (has_news || now >= deadline) return PyBool_FromLong(has_news);
  }
}

base::Result<conn::SharedConversation> connect(const std::string& address, base::Duration timeout,
                                               const conn::MessageStreamOptions& options,
                                               const net::SocketOptions& socket) {
  if (auto status = framing::check(options.framing); !status) return status;
  auto& loop = client_loop();
  auto const deadline = net::Reactor::clock() + timeout;
  // The connection's alone.
  auto shared = std::make_shared<const conn::MessageStreamOptions>(options);
  base::Result<conn::SharedConversation> outcome = base::Error{base::Errc::cancelled, {}, {}};
  Py_BEGIN_ALLOW_THREADS;
  auto addresses = addresses_of(address);
  outcome = addresses ? loop.connect(*addresses, deadline, shared, socket)
                      : base::Result<conn::SharedConversation>(addresses.take_status());
  Py_END_ALLOW_THREADS;
  return outcome;
}

Bell::Bell(conn::News& news)
    // See descriptor_.
    : descriptor_(std::make_shared<Descriptor>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) {
  news.watch([descriptor = descriptor_] {
    std::uint64_t const one = 1;
    [[maybe_unused]] auto const written = ::write(descriptor->number, &one, sizeof one);
  });
}

void Bell::silence() {
  std::uint64_t count = 0;
  [[maybe_unused]] auto const read = ::read(descriptor_->number, &count, sizeof count);
}

Bell::Descriptor::~Descriptor() {
  if (number >= 0) ::close(number);
}

}  // namespace millrace::python
