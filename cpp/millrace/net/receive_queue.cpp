#include "millrace/net/receive_queue.hpp"

#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <array>

namespace millrace::net {

std::optional<ReceiveQueue> receive_queue(int descriptor) {
  std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t size = sizeof memory;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_MEMINFO, memory.data(), &size) < 0)
    return std::nullopt;
  return ReceiveQueue{.waiting_bytes = memory[SK_MEMINFO_RMEM_ALLOC],
                      .limit_bytes = memory[SK_MEMINFO_RCVBUF],
                      .drops = memory[SK_MEMINFO_DROPS]};
}

}  // namespace millrace::net
