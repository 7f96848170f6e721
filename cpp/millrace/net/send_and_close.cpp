#include <sys/socket.h>
#include <unistd.h>

#include "millrace/net/listener.hpp"

namespace millrace::net {

void send_and_close(int descriptor, base::ByteView bytes) {
  // A fresh socket's buffer takes a short answer whole; if not, the peer sees less of it and the end.
  [[maybe_unused]] auto const sent = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  // Bytes that the peer has sent already would turn close() into a reset that destroys the answer.
  ::shutdown(descriptor, SHUT_WR);
  char unread[4096];
  while (::recv(descriptor, unread, sizeof unread, MSG_DONTWAIT) > 0) {
  }
  ::close(descriptor);
}

}  // namespace millrace::net
