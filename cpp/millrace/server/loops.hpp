// The event loops of a server, their threads, and the workers behind them.
#pragma once
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "millrace/exec/pattern.hpp"
#include "millrace/exec/worker_queue.hpp"
#include "millrace/net/reactor.hpp"

namespace millrace::server {

// How a loop's thread runs it: the default calls reactor.run(). A language run-time brings its own.
class LoopRunner {
 public:
  virtual ~LoopRunner() = default;
  // On the loop's own thread; returns after reactor.stop().
  virtual void run(std::size_t index, net::Reactor& reactor) = 0;
};

// Made, run and stopped by one controlling thread, none of its own. They are to be stopped before
// they are destroyed.
class Loops {
 public:
  // As many as the recipe says; its separate acceptor is the first. The guard is the workers'; it
  // and the runner may be null, and outlive this.
  Loops(const exec::Recipe& recipe, LoopRunner* runner, exec::WorkerGuard* worker_guard);

  void run();
  void stop();  // joins the threads; the workers have been stopped before
  bool is_running() const { return running_; }

  std::size_t size() const { return loops_.size(); }
  net::Reactor& operator[](std::size_t index) { return loops_[index]->reactor; }
  std::size_t first_owner() const { return first_owner_; }  // loops before it only accept
  exec::WorkerQueue* queue() { return queue_.get(); }       // null where handlers run on loops
  const exec::WorkerQueue* queue() const { return queue_.get(); }

  // Runs the task on every loop and waits for it. Only while they run.
  void on_every_loop(const std::function<void(std::size_t index)>& task);

 private:
  struct Loop {
    net::Reactor reactor;
    std::thread thread;
  };
  std::vector<std::unique_ptr<Loop>> loops_;
  std::unique_ptr<exec::WorkerQueue> queue_;
  LoopRunner* runner_;
  std::size_t first_owner_;
  bool running_ = false;
};

}  // namespace millrace::server
