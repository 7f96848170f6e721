// A load run: its threads, its progress, its result.
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "millrace/lab/load_options.hpp"
#include "millrace/lab/load_result.hpp"
#include "millrace/lab/load_target.hpp"
#include "millrace/lab/load_worker.hpp"

namespace millrace::lab {

// Life: make, start, wait or stop, result. Any thread, where not said otherwise; its destructor
// stops it.
class LoadRun {
 public:
  // Errc::invalid_option where the URL or an option cannot be used, Errc::name_not_found.
  static base::Result<std::unique_ptr<LoadRun>> make(std::string_view url, LoadOptions options);
  LoadRun(LoadTarget target, LoadOptions options);
  LoadRun(const LoadRun&) = delete;
  LoadRun& operator=(const LoadRun&) = delete;
  ~LoadRun();

  base::Status start();  // once; Errc::wrong_state the second time
  // True when it is over; false after that long.
  bool wait(base::Duration longest);
  void stop();  // at once; what is under way is given up and not counted
  LoadProgress progress() const;
  // What has been recorded so far; after the end, all of it. An error where no connection was ever
  // made.
  base::Result<LoadResult> result() const;

 private:
  void thread_is_over();

  const LoadOptions options_;
  const LoadTarget target_;
  std::vector<std::unique_ptr<LoadTally>> tallies_;  // one per thread
  std::vector<std::unique_ptr<LoadWorker>> workers_;
  std::vector<std::thread> threads_;
  mutable std::mutex lock_;  // of what follows
  std::condition_variable all_over_;
  std::size_t running_ = 0;
  base::Time started_ = 0, ended_ = 0;
};

}  // namespace millrace::lab
