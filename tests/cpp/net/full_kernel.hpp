// A kernel whose buffers are full: the loopback takes everything at once, so that is played here,
// in the place of libc's call. For one file of a test program.
#pragma once
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace millrace::testing {

inline std::atomic<bool> kernel_is_full = false;

}  // namespace millrace::testing

extern "C" int sendmmsg(int descriptor, mmsghdr* messages, unsigned count, int flags) {
  if (!millrace::testing::kernel_is_full)
    return static_cast<int>(::syscall(SYS_sendmmsg, descriptor, messages, count, flags));
  errno = EAGAIN;
  return -1;
}
