// How one thread gets another out of a blocking system call.
#pragma once
#include <signal.h>

#include <mutex>
#include <thread>

namespace millrace::net {

// While it lives, a signal of no other effect is at hand that makes a blocking call return EINTR.
// The process's own way with that signal is put back at the end. A hit that comes just before the
// call begins is lost: repeat it until the thread says that it has ended. Any thread; several wait
// for each other.
class Interruption {
 public:
  // SIGURG: ignored where nobody asks for it, so that a late one does no harm.
  static constexpr int signal = SIGURG;

  Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;
  ~Interruption();
  void hit(std::thread& thread) const;

  // On a thread that may be hit, which may have inherited a mask.
  static void admit();

 private:
  std::lock_guard<std::mutex> alone_;
  struct sigaction before_ {};
};

}  // namespace millrace::net
