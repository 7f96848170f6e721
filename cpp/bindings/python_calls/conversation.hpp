// What Python does with a plain TCP connection. GIL held.
#pragma once
#include <memory>
#include <string>

#include "ref.hpp"

#include "millrace/conn/conversation.hpp"
#include "millrace/net/socket_options.hpp"

namespace millrace::python {

// All of these: a new reference, or null and an exception raised.

// bytes; False: the peer has ended; None: wait, and ask again.
PyObject* take(conn::Conversation& conversation, const conn::Want& want);
// True: there is room for more; False: has_room() is to be waited for.
PyObject* write(conn::Conversation& conversation, PyObject* data);
// The same for a thread that may block before its turn or batch ends, which is when letters leave.
PyObject* write_at_once(conn::Conversation& conversation, PyObject* data);
// (host, port), or the path of a Unix socket; None where the peer has none.
PyObject* peer_of(const conn::Conversation& conversation);
// Gives up the GIL until there is news, and hears signals meanwhile. False at the deadline.
PyObject* wait_for_news(conn::News& news, base::Time deadline);

// Connects a client to "host:port" or "unix:/path", on the loop of client_loop(). Gives up the
// GIL meanwhile.
base::Result<conn::SharedConversation> connect(const std::string& address, base::Duration timeout,
                                               const conn::MessageStreamOptions& options,
                                               const net::SocketOptions& socket);

// A descriptor that becomes readable with each news of a conversation, for event loops of others.
// It lives as long as this. -1 where there are no descriptors left.
class Bell {
 public:
  explicit Bell(conn::News& news);
  int descriptor() const { return descriptor_->number; }
  void silence();  // until it rings again

 private:
  struct Descriptor {
    explicit Descriptor(int n) : number(n) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor();
    const int number;
  };
  // The conversation rings it, on its loop.
  std::shared_ptr<Descriptor> descriptor_;
};

}  // namespace millrace::python
