// What Python does with UDP to one peer. GIL held.
#pragma once
#include <cstddef>
#include <string>

#include "ref.hpp"

#include "millrace/conn/datagram_conversation.hpp"

namespace millrace::python {

// Of "host:port" or "[::1]:port", on the loop of client_loop(). Gives up the GIL meanwhile.
base::Result<conn::SharedDatagrams> connect_datagrams(
    const std::string& address, const conn::DatagramConversationOptions& options);

// All of these: a new reference, or null and an exception raised.

// A list of at most so many datagrams; None: wait, and ask again.
PyObject* take_datagrams(conn::DatagramConversation& conversation, std::size_t most);
// One, as bytes; None: wait, and ask again.
PyObject* take_datagram(conn::DatagramConversation& conversation);
// How many of a list, from an index on, the kernel has taken: less than all where there is no room,
// which is to be waited for. Gives up the GIL meanwhile.
PyObject* send_datagrams(conn::DatagramConversation& conversation, PyObject* list,
                         std::size_t from);
// False: there is no room, which is to be waited for. Gives up the GIL meanwhile.
PyObject* send_datagram(conn::DatagramConversation& conversation, PyObject* data);
PyObject* peer_of(const conn::DatagramConversation& conversation);
// Its counters by name.
PyObject* counters_of(const conn::DatagramConversation& conversation);

}  // namespace millrace::python
