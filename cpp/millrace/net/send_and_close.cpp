#include <sys/socket.h>
#include <unistd.h>

#include "millrace/net/listener.hpp"

namespace millrace::net {

void send_and_close(int descriptor, base::ByteView bytes) {
  // A fresh socket's buffer takes a short answer whole; if not, the peer sees less of it and the
  // end.
  [[maybe_unused]] auto const sent =
      ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  // Bytes that the peer has sent already would turn close() into a reset that destroys the answer.
  ::shutdown(descriptor, SHUT_WR);
  // Not for ever: a peer that sends as fast as we read would keep the loop here.
  constexpr int most_reads = 16;
  char unread[4096];
  for (int i = 0; i<most_reads&& ::recv(descriptor, unread, sizeof unread, MSG_DONTWAIT)> 0;) ++i;
  ::close(descriptor);
}

}  // namespace millrace::net
