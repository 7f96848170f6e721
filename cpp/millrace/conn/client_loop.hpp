// The loop that clients' connections live on.
#pragma once
#include <memory>
#include <thread>
#include <unordered_set>

#include "millrace/conn/conversation.hpp"
#include "millrace/conn/datagram_conversation.hpp"
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
  // UDP to the first of the addresses that there is a way to. Sends nothing. Waits for the loop.
  base::Result<SharedDatagrams> connect_datagrams(const std::vector<net::Endpoint>& addresses,
                                                  const DatagramConversationOptions& options);
  const net::Reactor& reactor() const { return reactor_; }

 private:
  void on_closed(Conversation& conversation) override { open_.erase(&conversation); }
  SharedConversation begin(int descriptor, const net::Endpoint& peer, SharedOptions options,
                           const net::SocketOptions& socket);
  base::Status begin(const SharedDatagrams& datagrams);

  net::Reactor reactor_;
  std::unordered_set<Conversation*> open_;
  std::unordered_set<SharedDatagrams> open_datagrams_;
  std::unique_ptr<net::DatagramBuffers> buffers_;  // made for the first of them
  std::thread thread_;
};

}  // namespace millrace::conn
