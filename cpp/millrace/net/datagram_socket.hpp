// UDP sockets that read and send many datagrams per system call.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "millrace/base/bytes.hpp"
#include "millrace/base/error.hpp"
#include "millrace/net/datagram_batches.hpp"
#include "millrace/net/endpoint.hpp"
#include "millrace/net/reactor.hpp"
#include "millrace/net/socket_options.hpp"

namespace millrace::net {

struct DatagramOptions {
  std::size_t batch = default_datagram_batch;
  // A datagram above it is dropped and counted. The most that IPv4 carries (RFC 768, RFC 791).
  std::size_t datagram_bytes = 65'507;
  // Datagrams that wait while the kernel's buffer is full; one more is dropped and counted, because
  // there is no way to slow a peer of UDP down.
  std::size_t unsent_datagrams = 1024;
  bool reuse_port = false;  // SO_REUSEPORT: the kernel spreads peers over several sockets
  std::size_t index = 0;    // which of those it is
  SocketOptions socket;     // as check_for_datagrams() accepts them
  // The kernel counts what it drops per socket. Of several processes that read the same one, one
  // counts it.
  bool counts_losses = true;
};

// Bound, non-blocking, close-on-exec. Opened on any thread, then home loop only.
class DatagramSocket final : private Readiness, private DatagramSink {
 public:
  // The view lasts as long as the call, which may send().
  using OnDatagram =
      std::function<void(DatagramSocket& socket, base::ByteView datagram, const Endpoint& from)>;

  // address_in_use, address_not_available, invalid_option, out_of_descriptors, io_error. What is
  // bound already (Endpoint::is_inherited) is duplicated: the descriptor named stays open and its
  // owner's, but becomes non-blocking and close-on-exec too.
  static base::Result<std::unique_ptr<DatagramSocket>> open(const Endpoint& at,
                                                            const DatagramOptions& options);
  ~DatagramSocket();
  DatagramSocket(const DatagramSocket&) = delete;
  DatagramSocket& operator=(const DatagramSocket&) = delete;

  const Endpoint& endpoint() const { return endpoint_; }  // with the port the kernel chose
  // What became of each option when it was opened.
  const std::vector<SocketOptionOutcome>& outcomes() const { return outcomes_; }
  int descriptor() const { return descriptor_; }
  int release();  // gives the descriptor away; nothing else may be asked of it then
  // The buffers and the loop outlive the socket.
  base::Status start(Reactor& reactor, DatagramBuffers& buffers, OnDatagram on_datagram);
  void stop_reading();
  // Copies; leaves with flush().
  void send(const Endpoint& to, base::ByteView datagram);
  // Sends what was collected, as far as the kernel takes it; the rest when it has room.
  void flush();
  std::size_t unsent() const { return sender_.size(); }  // datagrams that are still to leave

 private:
  DatagramSocket(int descriptor, const DatagramOptions& options);
  base::Status bind(const Endpoint& at);
  void adopt();
  void set_options(SocketMoment moment, int family);
  base::Status learn();
  void on_ready(std::uint32_t epoll_events) override;
  void on_datagram(base::ByteView datagram, const Endpoint& from) override {
    on_datagram_(*this, datagram, from);
  }
  void read();
  void wait_for_room();
  void watch();

  int descriptor_;
  const DatagramOptions options_;
  SocketOptions socket_options_;  // as they hold for this one
  std::vector<RefusedOption> refused_;
  std::vector<SocketOptionOutcome> outcomes_;
  Endpoint endpoint_;
  Reactor* reactor_ = nullptr;
  DatagramBuffers* buffers_ = nullptr;
  OnDatagram on_datagram_;
  bool is_reading_ = false, is_blocked_ = false, is_watched_ = false;
  DatagramReader reader_;
  DatagramSender sender_;
};

}  // namespace millrace::net
