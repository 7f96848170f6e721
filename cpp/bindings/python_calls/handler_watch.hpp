// Notices handlers that keep their thread for too long, and has them named, each call once.
#pragma once
#include <condition_variable>
#include <mutex>
#include <thread>

#include "calls_now.hpp"
#include "gil.hpp"

#include "millrace/base/time.hpp"
#include "millrace/trace/counters.hpp"

namespace millrace::python {

// A thread that looks four times in `stuck` and takes the GIL only where it has something to tell.
// Started and stopped by the engine's controlling thread, without the GIL.
class HandlerWatch {
 public:
  // Outlived by `counter`, which nobody else writes.
  HandlerWatch(const void* engine, base::Duration stuck, trace::Counter& counter);
  HandlerWatch(const HandlerWatch&) = delete;
  HandlerWatch& operator=(const HandlerWatch&) = delete;
  ~HandlerWatch();  // as stop()
  void stop();

 private:
  void run();
  void look();
  void tell(const ThreadCalls::Call& call, base::Duration so_far);

  struct Seen {
    ThreadCalls::Call call;
    base::Time since = 0;
    bool is_told = false;
  };
  const void* engine_;
  const base::Duration stuck_;
  trace::Counter& counter_;
  PyInterpreterState* interpreter_;
  std::vector<Seen> seen_;  // of the last look
  std::mutex lock_;
  std::condition_variable stopping_;
  bool is_stopped_ = false;
  std::thread thread_;
};

}  // namespace millrace::python
