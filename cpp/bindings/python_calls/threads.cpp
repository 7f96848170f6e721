#include "threads.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "calls_now.hpp"

namespace millrace::python {
namespace {

thread_local const void* owner = nullptr;
thread_local std::unique_ptr<ThreadState> workers_state;

int own_id() { return static_cast<int>(::syscall(SYS_gettid)); }

}  // namespace

bool is_thread_of(const void* engine) { return owner == engine; }
void mark_thread_of(const void* engine) {
  owner = engine;
  watch_calls_of_this_thread(engine);
}

void ThreadList::add() {
  std::lock_guard const guard(lock_);
  ids_.push_back(own_id());
}

std::vector<int> ThreadList::ids() const {
  std::lock_guard const guard(lock_);
  return ids_;
}

ContextSwitches ThreadList::switches_of(int id) {
  ContextSwitches switches;
  std::ifstream status("/proc/self/task/" + std::to_string(id) + "/status");
  for (std::string word; status >> word;) {
    if (word == "voluntary_ctxt_switches:") status >> switches.voluntary;
    if (word == "nonvoluntary_ctxt_switches:") status >> switches.involuntary;
  }
  return switches;
}

void LoopRunner::run(std::size_t index, net::Reactor& reactor) {
  mark_thread_of(engine_);
  belong_to(interpreter_, state_);
  ids_[index].store(own_id(), std::memory_order_relaxed);
  auto* const asyncio = index == 0 ? on_first_loop_ : nullptr;
  if (runs_ == Runs::native && !asyncio) {
    reactor.run();
    return;
  }
  ThreadState state(interpreter_);
  state.take();
  if (asyncio) asyncio->run(state);  // until the reactor is stopped
  GilGuard guard(state, reactor);
  reactor.set_guard(&guard);
  reactor.run();
  reactor.set_guard(nullptr);
  state.give();
}

void WorkerGuard::thread_begins() {
  mark_thread_of(engine_);
  belong_to(interpreter_, state_);
  threads_.add();
  if (runs_ == Runs::python) workers_state = std::make_unique<ThreadState>(interpreter_);
}
void WorkerGuard::enter() {
  if (workers_state) workers_state->take();
}
void WorkerGuard::leave() {
  if (workers_state) workers_state->give();
}
void WorkerGuard::thread_ends() { workers_state.reset(); }

}  // namespace millrace::python
