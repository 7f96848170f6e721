// The loop that clients' connections live on.
#pragma once
#include <memory>
#include <thread>
#include <unordered_set>

#include "millrace/conn/conversation.hpp"
#include "millrace/net/socket_options.hpp"

namespace millrace::conn {

// One loop on a thread of its own, for any number of connections. Any thread but its own.
class ClientLoop final : private Keeper {
 public:
  ClientLoop();
  ~ClientLoop();  // breaks off the connections that are left

  // Connects to the first of the addresses that takes the connection, until the deadline (clock of
  // net::Reactor). Waits.
  base::Result<SharedConversation> connect(const std::vector<net::Endpoint>& addresses,
                                           base::Time deadline, SharedOptions options,
                                           const net::SocketOptions& socket);
  const net::Reactor& reactor() const { return reactor_; }

 private:
  void on_closed(Conversation& conversation) override { open_.erase(&conversation); }
  SharedConversation begin(int descriptor, const net::Endpoint& peer, SharedOptions options);

  net::Reactor reactor_;
  std::unordered_set<Conversation*> open_;
  std::thread thread_;
};

}  // namespace millrace::conn
