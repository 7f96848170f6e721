// What waits to be accepted, and what was turned away.
#pragma once
#include <cstdint>
#include <optional>

namespace millrace::net {

// The queue of connections that the kernel has completed and nobody has accepted yet.
struct AcceptQueue {
  std::uint32_t depth = 0;
  // min(backlog, net.core.somaxconn). The kernel admits one more, and then no further SYN.
  std::uint32_t limit = 0;
};

// Of a listening socket: TCP_INFO for TCP, sock_diag(7) for Unix. Empty where the kernel does not
// say. Any thread.
std::optional<AcceptQueue> accept_queue(int descriptor, int family);

// Counted for the whole network namespace, not for one socket (/proc/net/netstat).
struct ListenCounters {
  std::uint64_t overflows = 0;  // TcpExtListenOverflows: the accept queue was full
  std::uint64_t drops = 0;      // TcpExtListenDrops: those, and what was dropped for other reasons
};
std::optional<ListenCounters> listen_counters();

}  // namespace millrace::net
