// UDP with one peer, which any thread may read from and write to.
#pragma once
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "millrace/conn/news.hpp"
#include "millrace/net/connected_datagram_socket.hpp"

namespace millrace::conn {

struct DatagramConversationOptions {
  // Datagrams that wait until they are taken; one more is dropped and counted, because there is no
  // way to slow a peer of UDP down. Some four times what the kernel's own default buffer holds; at
  // the worst (64 kB each) 64 MB of memory.
  std::size_t unread_datagrams = 1024;
  net::SocketOptions socket;
};

class DatagramConversation;

// Shared by its loop, which holds it while it is open, and by whoever reads and writes.
using SharedDatagrams = std::shared_ptr<DatagramConversation>;

// Any thread, unless said otherwise.
class DatagramConversation final : public std::enable_shared_from_this<DatagramConversation>,
                                   public News,
                                   private net::ConnectedDatagramSocket::Listener {
 public:
  // Errc::invalid_option for socket options of others.
  static base::Status check(const DatagramConversationOptions& options) {
    return net::check_for_datagrams(options.socket, net::DatagramSide::client);
  }
  // Called on the loop, once and last.
  using OnClosed = std::function<void(const SharedDatagrams&)>;

  DatagramConversation(net::Reactor& reactor, std::unique_ptr<net::ConnectedDatagramSocket> socket,
                       const DatagramConversationOptions& options, OnClosed on_closed);

  // Up to `most` datagrams, one behind the other, and the size of each. None: wait for news, and
  // ask again. Errors: connection_refused (the network said so of a datagram we sent; told once),
  // connection_closed.
  struct Taken {
    std::string bytes;
    std::vector<std::size_t> sizes;
  };
  base::Result<Taken> take(std::size_t most);
  // How many the kernel has taken; less than all: room for the rest is news. Errors as take(), and
  // invalid_message.
  base::Result<std::size_t> send(std::span<const base::ByteView> datagrams);
  void close();

  const net::Endpoint& peer() const { return socket_->peer(); }
  const std::vector<net::SocketOptionOutcome>& outcomes() const { return socket_->outcomes(); }
  const trace::LoopCounters& received() const { return socket_->received(); }
  const trace::LoopCounters& sent() const { return socket_->sent(); }

  // --- home loop
  // The buffers and the loop outlive what is read.
  base::Status begin(net::DatagramBuffers& buffers);
  void end();

 private:
  void on_datagram(base::ByteView datagram) override;
  void on_refused(const base::Error& why) override;
  void on_news() override;

  net::Reactor& reactor_;
  const std::size_t unread_datagrams_;
  const std::unique_ptr<net::ConnectedDatagramSocket> socket_;
  OnClosed on_closed_;  // empty once it has been called
  // With the lock:
  std::string inbox_;
  std::size_t inbox_at_ = 0;       // of its bytes, those that were taken
  std::deque<std::size_t> sizes_;  // of the datagrams in it
  std::optional<base::Error> refusal_;
};

}  // namespace millrace::conn
