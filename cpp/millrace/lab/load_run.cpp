#include "millrace/lab/load_run.hpp"

#include <chrono>
#include <utility>

namespace millrace::lab {

using base::Errc;

base::Result<std::unique_ptr<LoadRun>> LoadRun::make(std::string_view url, LoadOptions options) {
  if (auto checked = check(options); !checked) return checked;
  auto target = LoadTarget::make(url, options.request);
  if (!target) return target.take_status();
  return std::make_unique<LoadRun>(std::move(*target), std::move(options));
}

LoadRun::LoadRun(LoadTarget target, LoadOptions options)
    : options_(std::move(options)), target_(std::move(target)) {
  for (std::size_t i = 0; i < options_.threads; ++i) {
    tallies_.push_back(std::make_unique<LoadTally>());
    workers_.push_back(
        std::make_unique<LoadWorker>(target_, options_, *tallies_[i], share_of(options_, i)));
  }
}

LoadRun::~LoadRun() {
  stop();
  for (auto& thread : threads_) thread.join();
}

base::Status LoadRun::start() {
  {
    std::lock_guard const guard(lock_);
    if (started_ != 0) return base::failure(Errc::wrong_state, {}, "a load run starts once");
    started_ = net::Reactor::clock();
    running_ = workers_.size();
  }
  for (auto& worker : workers_)
    threads_.emplace_back([this, &worker = *worker] {
      worker.run();
      thread_is_over();
    });
  return {};
}

void LoadRun::thread_is_over() {
  std::lock_guard const guard(lock_);
  if (--running_ > 0) return;
  ended_ = net::Reactor::clock();
  all_over_.notify_all();
}

bool LoadRun::wait(base::Duration longest) {
  std::unique_lock guard(lock_);
  auto const is_over = [this] { return running_ == 0; };
  return all_over_.wait_for(guard, std::chrono::nanoseconds(longest), is_over);
}

void LoadRun::stop() {
  for (auto& worker : workers_) worker->stop();
}

LoadProgress LoadRun::progress() const {
  LoadProgress all;
  for (auto const& tally : tallies_) {
    auto const failed = tally->failed.get();
    all.errors += failed;
    all.requests += tally->done.get();
    all.in_flight += tally->in_flight.get();
  }
  std::lock_guard const guard(lock_);
  if (started_ != 0) all.elapsed = (ended_ ? ended_ : net::Reactor::clock()) - started_;
  return all;
}

base::Result<LoadResult> LoadRun::result() const {
  LoadResult all;
  all.is_open_loop = options_.pace.rate > 0;
  for (auto const& tally : tallies_) all.add(*tally);
  std::lock_guard const guard(lock_);
  if (ended_ == 0) return all;
  const base::Error* why = nullptr;
  for (auto const& worker : workers_) {
    why = worker->connect_error();
    if (!why) return all;
  }
  return base::Error(*why);
}

}  // namespace millrace::lab
