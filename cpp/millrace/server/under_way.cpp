// What operators ask of a running server: which requests it works on, and whether its loops answer.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "millrace/server/server.hpp"

namespace millrace::server {
namespace {

struct Answers {
  std::mutex lock;
  std::condition_variable complete;
  std::size_t missing = 0;
  std::vector<conn::OpenRequest> open;
};

}  // namespace

UnderWay Server::under_way(std::size_t most, base::Time deadline) {
  // Shared with the tasks, which may run after this has given up.
  auto const answers = std::make_shared<Answers>();
  answers->missing = loops_.size();
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    host_.loops()[i].post([answers, loop = loops_[i].get()] {
      std::lock_guard const guard(answers->lock);
      loop->connections.list_open(answers->open);
      if (--answers->missing == 0) answers->complete.notify_one();
    });
  }
  std::unique_lock guard(answers->lock);
  auto const patience = std::max<base::Duration>(0, deadline - net::Reactor::clock());
  answers->complete.wait_for(guard, std::chrono::nanoseconds(patience),
                             [&] { return answers->missing == 0; });
  auto oldest = std::move(answers->open);
  std::ranges::sort(oldest, {}, &conn::OpenRequest::since);
  oldest.resize(std::min(oldest.size(), most));
  return {std::move(oldest), answers->missing};
}

}  // namespace millrace::server
