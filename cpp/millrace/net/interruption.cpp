#include "millrace/net/interruption.hpp"

#include <pthread.h>

namespace millrace::net {
namespace {

// What a signal does belongs to the process, and so does the right to change it.
std::mutex& of_the_process() {
  static std::mutex lock;
  return lock;
}

}  // namespace

Interruption::Interruption() : alone_(of_the_process()) {
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};  // and no SA_RESTART, which would begin the call anew
  ::sigaction(signal, &nothing, &before_);
}

Interruption::~Interruption() { ::sigaction(signal, &before_, nullptr); }

void Interruption::hit(std::thread& thread) const {
  ::pthread_kill(thread.native_handle(), signal);
}

void Interruption::admit() {
  sigset_t only;
  ::sigemptyset(&only);
  ::sigaddset(&only, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
}

}  // namespace millrace::net
