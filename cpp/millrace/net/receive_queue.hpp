// What waits at a socket of UDP to be read, and what had no room.
#pragma once
#include <cstdint>
#include <optional>

namespace millrace::net {

struct ReceiveQueue {
  // As the kernel accounts: a datagram weighs its buffer, several times what it carries if small.
  std::uint32_t waiting_bytes = 0;
  std::uint32_t limit_bytes = 0;  // SO_RCVBUF
  std::uint32_t drops = 0;        // since the socket was made, modulo 2^32
};

// SO_MEMINFO, from Linux 4.12 on; empty where the kernel does not say. Any thread.
std::optional<ReceiveQueue> receive_queue(int descriptor);

}  // namespace millrace::net
