#include <atomic>
#include <cassert>
#include <mutex>
#include <vector>

#include "millrace/exec/pattern.hpp"

namespace millrace::exec {
namespace {

class AcceptingLoop final : public Placement {
 public:
  std::size_t place(std::size_t accepting_loop) override { return accepting_loop; }
};

class RoundRobin final : public Placement {
 public:
  explicit RoundRobin(std::size_t loops) : loops_(loops) {}
  std::size_t place(std::size_t) override {
    return next_.fetch_add(1, std::memory_order_relaxed) % loops_;
  }

 private:
  std::size_t loops_;
  std::atomic<std::size_t> next_{0};
};

// Fewest open connections, those on their way there included: a burst is placed before the first of
// it has arrived anywhere. Several loops may accept, hence the lock; it is taken once per
// connection.
class LeastConnections final : public Placement {
 public:
  explicit LeastConnections(std::span<net::Reactor* const> owners) {
    for (auto* reactor : owners) {
      auto const& counters = reactor->counters();
      owners_.push_back({&counters, counters.connections_opened.get(), counters.waits.get()});
    }
  }

  std::size_t place(std::size_t) override {
    std::lock_guard const guard(lock_);
    // From another loop each time, so that equals take turns even if their connections end at once.
    auto best = first_ = (first_ + 1) % owners_.size();
    auto fewest = load_of(owners_[best]);
    for (std::size_t step = 1; step < owners_.size(); ++step) {
      auto const i = (first_ + step) % owners_.size();
      if (auto const load = load_of(owners_[i]); load < fewest) {
        best = i;
        fewest = load;
      }
    }
    auto& chosen = owners_[best];
    ++chosen.arrived_or_under_way;
    chosen.waits_at_last = chosen.counters->waits.get();
    return best;
  }

 private:
  struct Owner {
    const trace::LoopCounters* counters;
    std::uint64_t
        arrived_or_under_way;     // connections opened there, ours that have not arrived included
    std::uint64_t waits_at_last;  // the loop's count of waits when we last placed there
  };

  static std::uint64_t load_of(Owner& owner) {
    auto const opened = owner.counters->connections_opened.get();
    // Two waits later the loop has opened all its letters. What has not arrived then was turned
    // away.
    bool const has_all = owner.counters->waits.get() >= owner.waits_at_last + 2;
    if (has_all || opened > owner.arrived_or_under_way) owner.arrived_or_under_way = opened;
    return owner.counters->connections_open.get() + (owner.arrived_or_under_way - opened);
  }

  std::mutex lock_;
  std::vector<Owner> owners_;
  std::size_t first_ = 0;
};

}  // namespace

std::unique_ptr<Placement> make_placement(Place place, std::span<net::Reactor* const> owners) {
  assert(!owners.empty());
  switch (place) {
    case Place::accepting_loop:
      return std::make_unique<AcceptingLoop>();
    case Place::round_robin:
      return std::make_unique<RoundRobin>(owners.size());
    case Place::least_connections:
      return std::make_unique<LeastConnections>(owners);
  }
  return nullptr;
}

}  // namespace millrace::exec
