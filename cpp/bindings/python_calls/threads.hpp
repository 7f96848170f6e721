// The engine's threads, and how those of them that run Python hold the interpreter's lock.
#pragma once
#include <mutex>
#include <string>
#include <vector>

#include "asyncio_host.hpp"
#include "gil.hpp"
#include "interpreter_state.hpp"

#include "millrace/exec/pattern.hpp"
#include "millrace/server/server.hpp"

namespace millrace::python {

// How often the kernel took a thread off its core: because it waited, or because another was to
// run.
struct ContextSwitches {
  std::uint64_t voluntary = 0, involuntary = 0;
};

// Which threads of one kind there are, by the kernel's numbers. Any thread.
class ThreadList {
 public:
  void add();  // the calling thread
  std::vector<int> ids() const;
  static ContextSwitches switches_of(int id);  // zeros for a thread that has ended

 private:
  mutable std::mutex lock_;
  std::vector<int> ids_;
};

// Whether the calling thread belongs to this engine, which it must not stop then.
bool is_thread_of(const void* engine);
void mark_thread_of(const void* engine);

// What a thread of ours runs: one that runs Python has a state of its own and takes the GIL.
enum class Runs : std::uint8_t { native, python };

// Loops that run handlers hold the GIL except while they wait; loop 0 carries asyncio where it is
// told to. Purely native loops never touch Python.
class LoopRunner final : public server::LoopRunner {
 public:
  LoopRunner(const void* engine, std::size_t loops)
      : engine_(engine),
        interpreter_(PyInterpreterState_Get()),
        state_(interpreter_state()),
        ids_(loops) {}

  // Before the loops run. `on_first_loop` may be null.
  void set(Runs runs, AsyncioHost* on_first_loop) {
    runs_ = runs;
    on_first_loop_ = on_first_loop;
  }
  void run(std::size_t index, net::Reactor& reactor) override;
  int thread_id(std::size_t index) const {
    return ids_[index].load(std::memory_order_relaxed);
  }  // 0: not yet

 private:
  const void* engine_;
  PyInterpreterState* interpreter_;
  InterpreterState& state_;
  Runs runs_ = Runs::native;
  AsyncioHost* on_first_loop_ = nullptr;
  std::vector<std::atomic<int>> ids_;
};

// A worker holds the GIL from its first request until the queue is empty, where any handler is
// Python.
class WorkerGuard final : public exec::WorkerGuard {
 public:
  explicit WorkerGuard(const void* engine)
      : engine_(engine), interpreter_(PyInterpreterState_Get()), state_(interpreter_state()) {}

  // Before the workers start.
  void set(Runs runs) { runs_ = runs; }
  void thread_begins() override;
  void enter() override;
  void leave() override;
  void thread_ends() override;
  const ThreadList& threads() const { return threads_; }

 private:
  const void* engine_;
  PyInterpreterState* interpreter_;
  InterpreterState& state_;
  Runs runs_ = Runs::native;
  ThreadList threads_;
};

}  // namespace millrace::python
