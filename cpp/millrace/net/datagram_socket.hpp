// UDP sockets that read and send many datagrams per system call.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/bytes.hpp"
#include "millrace/base/error.hpp"
#include "millrace/net/endpoint.hpp"
#include "millrace/net/reactor.hpp"

namespace millrace::net {

struct DatagramOptions {
  // Messages that one recvmmsg(2) or sendmmsg(2) takes. Each costs up to 64 kB of memory per loop.
  std::size_t batch = 32;
  // A datagram above it is dropped and counted. The most that IPv4 carries (RFC 768, RFC 791).
  std::size_t datagram_bytes = 65'507;
  // Datagrams that wait while the kernel's buffer is full; one more is dropped and counted, because
  // there is no way to slow a peer of UDP down.
  std::size_t unsent_datagrams = 1024;
  std::optional<int> receive_buffer, send_buffer;  // bytes; empty: the kernel's default
  bool reuse_port = false;  // SO_REUSEPORT: the kernel spreads peers over several sockets
};

// Where one recvmmsg puts what it takes. One for all sockets of a loop.
class DatagramBuffers {
 public:
  explicit DatagramBuffers(const DatagramOptions& options);
  ~DatagramBuffers();
  DatagramBuffers(const DatagramBuffers&) = delete;
  DatagramBuffers& operator=(const DatagramBuffers&) = delete;

 private:
  friend class DatagramSocket;
  struct Slots;
  std::unique_ptr<Slots> slots_;
};

// Bound, non-blocking, close-on-exec. Opened on any thread, then home loop only.
class DatagramSocket final : private Readiness {
 public:
  // The view lasts as long as the call, which may send().
  using OnDatagram =
      std::function<void(DatagramSocket& socket, base::ByteView datagram, const Endpoint& from)>;

  // address_in_use, address_not_available, invalid_option, out_of_descriptors, io_error.
  static base::Result<std::unique_ptr<DatagramSocket>> open(const Endpoint& at,
                                                            const DatagramOptions& options);
  ~DatagramSocket();
  DatagramSocket(const DatagramSocket&) = delete;
  DatagramSocket& operator=(const DatagramSocket&) = delete;

  const Endpoint& endpoint() const { return endpoint_; }  // with the port the kernel chose
  // The buffers and the loop outlive the socket.
  base::Status start(Reactor& reactor, DatagramBuffers& buffers, OnDatagram on_datagram);
  void stop_reading();
  // Copies; leaves with flush().
  void send(const Endpoint& to, base::ByteView datagram);
  // Sends what was collected, as far as the kernel takes it; the rest when it has room.
  void flush();

 private:
  struct Outgoing;
  struct Unsent {
    Endpoint to;
    std::size_t begin = 0, size = 0;  // in bytes_
  };
  DatagramSocket(int descriptor, const DatagramOptions& options);
  base::Status bind(const Endpoint& at);
  void on_ready(std::uint32_t epoll_events) override;
  void read();
  void hand_on(base::ByteView bytes, std::size_t segment, bool is_cut, const Endpoint& from);
  void note_losses(std::uint32_t losses_so_far);
  std::size_t unsent() const { return unsent_.size() - first_; }
  std::size_t group_at(std::size_t index) const;  // how many datagrams leave as one message
  std::size_t prepare();
  void sent(std::size_t messages);
  void failed();
  void wait_for_room();
  void watch();

  const int descriptor_;
  const DatagramOptions options_;
  Endpoint endpoint_;
  bool can_group_ = false;  // UDP_SEGMENT
  Reactor* reactor_ = nullptr;
  DatagramBuffers* buffers_ = nullptr;
  OnDatagram on_datagram_;
  bool is_reading_ = false, is_blocked_ = false, is_watched_ = false;
  std::uint32_t losses_ = 0;  // as the kernel last had them
  // One behind the other, so that a group is one piece of memory; before first_ they have left.
  std::string bytes_;
  std::vector<Unsent> unsent_;
  std::size_t first_ = 0;
  std::size_t single_until_ = 0;  // a group before this was refused: one by one
  std::unique_ptr<Outgoing> outgoing_;
};

}  // namespace millrace::net
