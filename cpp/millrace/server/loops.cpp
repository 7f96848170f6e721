#include "millrace/server/loops.hpp"

#include <latch>

namespace millrace::server {

Loops::Loops(const exec::Recipe& recipe, LoopRunner* runner, exec::WorkerGuard* worker_guard)
    : runner_(runner), first_owner_(recipe.separate_acceptor ? 1 : 0) {
  for (std::size_t i = 0; i < recipe.loops + first_owner_; ++i)
    loops_.push_back(std::make_unique<Loop>());
  if (recipe.run != exec::Run::on_workers) return;
  queue_ = std::make_unique<exec::WorkerQueue>(
      exec::WorkerQueue::Options{recipe.workers, recipe.queue_capacity}, worker_guard);
  for (std::size_t i = first_owner_; i < loops_.size(); ++i)
    loops_[i]->reactor.observe_turns(*queue_);
}

void Loops::run() {
  running_ = true;
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    auto& loop = *loops_[i];
    loop.thread = std::thread([this, i, &loop] {
      if (runner_) {
        runner_->run(i, loop.reactor);
      } else {
        loop.reactor.run();
      }
    });
  }
}

void Loops::stop() {
  if (!running_) return;
  running_ = false;
  for (auto& loop : loops_) loop->reactor.stop();
  for (auto& loop : loops_) loop->thread.join();
}

void Loops::on_every_loop(const std::function<void(std::size_t)>& task) {
  std::latch done(static_cast<std::ptrdiff_t>(loops_.size()));
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    loops_[i]->reactor.post([&, i] {
      task(i);
      done.count_down();
    });
  }
  done.wait();
}

}  // namespace millrace::server
