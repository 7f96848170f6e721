#include "datagram_conversation.hpp"

#include <deque>
#include <span>
#include <utility>
#include <vector>

#include "buffer.hpp"
#include "client_loop.hpp"
#include "host_module.hpp"

namespace millrace::python {
namespace {

using conn::DatagramConversation;

base::Result<std::size_t> send(DatagramConversation& conversation,
                               std::span<const base::ByteView> datagrams) {
  base::Result<std::size_t> sent(std::size_t{0});
  Py_BEGIN_ALLOW_THREADS;
  sent = conversation.send(datagrams);
  Py_END_ALLOW_THREADS;
  return sent;
}

PyObject* to_list(const DatagramConversation::Taken& taken) {
  Ref list(PyList_New(static_cast<Py_ssize_t>(taken.sizes.size())));
  std::string_view left(taken.bytes);
  for (std::size_t i = 0; list && i < taken.sizes.size(); ++i) {
    auto* const datagram = to_bytes(left.substr(0, taken.sizes[i]));
    if (!datagram) return nullptr;
    PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), datagram);
    left.remove_prefix(taken.sizes[i]);
  }
  return list.release();
}

}  // namespace

base::Result<conn::SharedDatagrams> connect_datagrams(
    const std::string& address, const conn::DatagramConversationOptions& options) {
  auto& loop = client_loop();
  base::Result<conn::SharedDatagrams> outcome = base::Error{base::Errc::cancelled, {}, {}};
  Py_BEGIN_ALLOW_THREADS;
  auto addresses = addresses_of(address);
  outcome = addresses ? loop.connect_datagrams(*addresses, options)
                      : base::Result<conn::SharedDatagrams>(addresses.take_status());
  Py_END_ALLOW_THREADS;
  return outcome;
}

PyObject* take_datagrams(DatagramConversation& conversation, std::size_t most) {
  auto const taken = conversation.take(most);
  if (taken) return taken.value().sizes.empty() ? Py_NewRef(Py_None) : to_list(taken.value());
  raise_error(taken.error());
  return nullptr;
}

PyObject* take_datagram(DatagramConversation& conversation) {
  auto const taken = conversation.take(1);
  if (taken)
    return taken.value().sizes.empty() ? Py_NewRef(Py_None) : to_bytes(taken.value().bytes);
  raise_error(taken.error());
  return nullptr;
}

PyObject* send_datagrams(DatagramConversation& conversation, PyObject* list, std::size_t from) {
  std::deque<Buffer> buffers;  // which do not move
  std::vector<base::ByteView> views;
  for (auto i = from; i < static_cast<std::size_t>(PyList_GET_SIZE(list)); ++i) {
    auto const& buffer = buffers.emplace_back(PyList_GET_ITEM(list, static_cast<Py_ssize_t>(i)));
    if (!buffer) return nullptr;
    views.push_back(buffer.view());
  }
  auto const sent = send(conversation, views);
  if (sent) return PyLong_FromSize_t(sent.value());
  raise_error(sent.error());
  return nullptr;
}

PyObject* send_datagram(DatagramConversation& conversation, PyObject* data) {
  Buffer const buffer(data);
  if (!buffer) return nullptr;
  auto const view = buffer.view();
  auto const sent = send(conversation, {&view, 1});
  if (sent) return PyBool_FromLong(sent.value() == 1);
  raise_error(sent.error());
  return nullptr;
}

PyObject* peer_of(const DatagramConversation& conversation) {
  auto const& peer = conversation.peer();
  return Py_BuildValue("si", peer.host().c_str(), static_cast<int>(peer.port()));
}

PyObject* counters_of(const DatagramConversation& conversation) {
  auto const& in = conversation.received();
  auto const& out = conversation.sent();
  std::pair<const char*, const trace::Counter&> const rows[] = {
      {"reads", in.reads},
      {"messages_in", in.messages_in},
      {"bytes_in", in.bytes_in},
      {"datagrams_joined_in", in.datagrams_joined},
      {"datagrams_dropped", in.datagrams_dropped},
      {"datagrams_lost", in.datagrams_lost},
      {"writes", out.writes},
      {"writes_blocked", out.writes_blocked},
      {"messages_out", out.messages_out},
      {"bytes_out", out.bytes_out},
      {"datagrams_joined_out", out.datagrams_joined},
  };
  Ref counters(PyDict_New());
  for (auto const& [name, counter] : rows) {
    Ref const value(PyLong_FromUnsignedLongLong(counter.get()));
    if (!counters || !value || PyDict_SetItemString(counters.get(), name, value.get()) < 0)
      return nullptr;
  }
  return counters.release();
}

}  // namespace millrace::python
