// How a thread that is none of the loops' learns what only they may look at.
#pragma once
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "millrace/server/loops.hpp"

namespace millrace::server {

template <class Item>
struct Told {
  std::vector<Item> items;
  std::size_t silent_loops = 0;  // they did not answer in time: something blocks them
};

// Calls list(index, items) on every loop as it comes to it, each with items of its own. Any thread
// but a loop's, while the loops run. What `list` refers to outlives the loops: it may be called
// later than the deadline.
template <class Item, class List>
Told<Item> ask_loops(Loops& loops, base::Time deadline, List list) {
  struct Answers {
    std::mutex lock;
    std::condition_variable complete;
    std::size_t missing = 0;
    std::vector<Item> items;
  };
  // Shared with the tasks, which may run after this has given up.
  auto const answers = std::make_shared<Answers>();
  answers->missing = loops.size();
  for (std::size_t i = 0; i < loops.size(); ++i) {
    loops[i].post([answers, list, i] {
      std::vector<Item> items;
      list(i, items);
      std::lock_guard const guard(answers->lock);  // not while listing: nobody waits for that
      std::ranges::move(items, std::back_inserter(answers->items));
      if (--answers->missing == 0) answers->complete.notify_one();
    });
  }
  std::unique_lock guard(answers->lock);
  auto const patience = std::max<base::Duration>(0, deadline - net::Reactor::clock());
  answers->complete.wait_for(guard, std::chrono::nanoseconds(patience),
                             [&] { return answers->missing == 0; });
  return {std::move(answers->items), answers->missing};
}

}  // namespace millrace::server
