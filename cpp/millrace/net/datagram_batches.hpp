// Many datagrams per system call: what the sockets of servers and of clients have in common.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/bytes.hpp"
#include "millrace/net/endpoint.hpp"
#include "millrace/trace/counters.hpp"

namespace millrace::net {

// Messages that one recvmmsg(2) or sendmmsg(2) takes, unless it is told: enough to share the price
// of the call. Each costs up to 64 kB of memory per loop.
inline constexpr std::size_t default_datagram_batch = 32;

// Asks for what the kernel has (SO_RXQ_OVFL, UDP_GRO); it works without. Whether it sends groups
// (UDP_SEGMENT).
bool prepare_for_batches(int descriptor);

// Where one recvmmsg puts what it takes. One for all sockets of a loop.
class DatagramBuffers {
 public:
  explicit DatagramBuffers(std::size_t batch);
  ~DatagramBuffers();
  DatagramBuffers(const DatagramBuffers&) = delete;
  DatagramBuffers& operator=(const DatagramBuffers&) = delete;

 private:
  friend class DatagramReader;
  struct Slots;
  std::unique_ptr<Slots> slots_;
};

// Gets datagrams. Their bytes live until the call returns.
class DatagramSink {
 public:
  virtual void on_datagram(base::ByteView datagram, const Endpoint& from) = 0;

 protected:
  ~DatagramSink() = default;
};

// One owner at a time, as the sender below.
class DatagramReader {
 public:
  // A datagram above `most_bytes` is dropped and counted.
  explicit DatagramReader(std::size_t most_bytes) : most_bytes_(most_bytes) {}
  // Of a socket that others read too, what the kernel had dropped before; empty: they count it.
  void count_losses_from(std::optional<std::uint32_t> so_far) { losses_ = so_far; }
  // One recvmmsg. Its errno where it failed (EAGAIN: nothing was there), else 0.
  int read(int descriptor, DatagramBuffers& buffers, trace::LoopCounters& counters,
           DatagramSink& sink);

 private:
  struct Read {
    base::ByteView bytes;
    std::size_t segment;  // the size of each datagram in it but the last
    bool is_cut;
    const Endpoint& from;
  };
  void hand_on(const Read& read, trace::LoopCounters& counters, DatagramSink& sink) const;

  const std::size_t most_bytes_;
  std::optional<std::uint32_t> losses_ = 0;  // as the kernel last had them
};

// Collects datagrams and sends them, runs of equal sizes to one peer as one message.
class DatagramSender {
 public:
  DatagramSender(std::size_t batch, bool can_group);
  ~DatagramSender();

  // Copies. `to` is empty where the socket is connected.
  void add(const Endpoint& to, base::ByteView datagram);
  std::size_t size() const { return unsent_.size() - first_; }  // that are still to leave
  // Until all have left, or the kernel refuses the first of the rest: its errno then (EAGAIN: there
  // is no room), else 0.
  int send(int descriptor, trace::LoopCounters& counters);
  void drop_first() { ++first_; }
  void clear();
  void forget_sent();  // gives their memory back, where the rest has to wait

 private:
  struct Messages;
  struct Unsent {
    Endpoint to;
    std::size_t begin = 0, size = 0;  // in bytes_
  };
  std::size_t group_at(std::size_t index) const;  // how many datagrams leave as one message
  std::size_t prepare();
  void sent(std::size_t messages, trace::LoopCounters& counters);

  const bool can_group_;
  // One behind the other, so that a group is one piece of memory; before first_ they have left.
  std::string bytes_;
  std::vector<Unsent> unsent_;
  std::size_t first_ = 0;
  std::size_t single_until_ = 0;  // a group before this was refused: one by one
  std::unique_ptr<Messages> messages_;
};

}  // namespace millrace::net
