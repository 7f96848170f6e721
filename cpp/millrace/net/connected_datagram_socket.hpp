// A UDP socket that sends to one peer and hears only that one.
#pragma once
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "millrace/base/bytes.hpp"
#include "millrace/base/error.hpp"
#include "millrace/net/datagram_batches.hpp"
#include "millrace/net/endpoint.hpp"
#include "millrace/net/reactor.hpp"
#include "millrace/net/socket_options.hpp"

namespace millrace::net {

// Non-blocking, close-on-exec. Opened on any thread; closed on the loop that reads from it.
class ConnectedDatagramSocket final : private Readiness, private DatagramSink {
 public:
  // Hears what comes. On the loop.
  class Listener {
   public:
    virtual void on_datagram(base::ByteView datagram) = 0;  // its bytes live until the call returns
    virtual void on_refused(const base::Error& why) = 0;    // what the network said of one we sent
    virtual void on_news() = 0;  // behind all that a turn brought; there may be room

   protected:
    ~Listener() = default;
  };

  // Sends nothing. check_for_datagrams() has accepted the options. connection_refused (there is no
  // way to the peer), out_of_descriptors, io_error.
  static base::Result<std::unique_ptr<ConnectedDatagramSocket>> open(const Endpoint& to,
                                                                     const SocketOptions& options);
  ~ConnectedDatagramSocket();
  ConnectedDatagramSocket(const ConnectedDatagramSocket&) = delete;
  ConnectedDatagramSocket& operator=(const ConnectedDatagramSocket&) = delete;

  // --- any thread
  // How many the kernel has taken; less than all where it has no room. An error is told of the
  // first of the rest: invalid_message (longer than a datagram can be), connection_refused (what
  // the network said of an earlier one), connection_closed.
  base::Result<std::size_t> send(std::span<const base::ByteView> datagrams);
  const Endpoint& peer() const { return peer_; }
  // What became of each option when it was opened.
  const std::vector<SocketOptionOutcome>& outcomes() const { return outcomes_; }
  // Each counter is of this socket alone. What is read, and `datagrams_dropped`, has the loop as
  // its writer, and what is sent whoever sends.
  trace::LoopCounters& received() { return received_; }
  const trace::LoopCounters& sent() const { return sent_; }

  // --- home loop
  // The buffers, the loop and the listener outlive what is read.
  base::Status start(Reactor& reactor, DatagramBuffers& buffers, Listener& listener);
  void tell_of_room();  // on_news() when the kernel takes more, once
  void close();

 private:
  ConnectedDatagramSocket(int descriptor, const Endpoint& peer);
  void on_ready(std::uint32_t epoll_events) override;
  void on_datagram(base::ByteView datagram, const Endpoint&) override {
    listener_->on_datagram(datagram);
  }

  const Endpoint peer_;
  std::vector<SocketOptionOutcome> outcomes_;
  Reactor* reactor_ = nullptr;
  DatagramBuffers* buffers_ = nullptr;
  Listener* listener_ = nullptr;
  bool is_watched_ = false;
  DatagramReader reader_;
  trace::LoopCounters received_, sent_;

  std::mutex sending_;  // of the sender, and of the descriptor's end
  int descriptor_;
  DatagramSender sender_;
};

}  // namespace millrace::net
