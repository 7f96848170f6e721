// Coarse timers for things that rarely fire: connection deadlines. Moving one on is a store.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "millrace/base/time.hpp"

namespace millrace::net {

// A timer; embed it in its owner. Home loop only.
struct WheelEntry {
  WheelEntry* previous = nullptr;
  WheelEntry* next = nullptr;  // null while not armed
  base::Time deadline = 0;
  std::uint64_t slot = 0;
  // Called at or up to two slots after the deadline; the entry is no longer armed then and may be
  // armed again, or destroyed with its owner.
  void (*fire)(WheelEntry& entry, base::Time now) = nullptr;
};

// One slot is 2^26 ns (67 ms); deadlines are met that late at most twice over. Home loop only.
class TimerWheel {
 public:
  static constexpr int slot_shift = 26;
  static constexpr std::uint64_t slot_count = 1024;

  TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Arms the entry or moves its deadline. A later deadline is only noted: the entry fires in its
  // old slot, sees that it is too early and moves on, so that touching it per request costs one
  // store.
  void arm(WheelEntry& entry, base::Time deadline) {
    entry.deadline = deadline;
    auto const slot = slot_of(deadline);
    if (entry.next && entry.slot <= slot) return;
    disarm(entry);
    insert(entry, slot);
  }
  void disarm(WheelEntry& entry);
  // Fires what is due. Costs a comparison while nothing can be.
  void advance(base::Time now);
  bool empty() const { return armed_ == 0; }
  // No entry fires before this (INT64_MAX: none is armed), so that the loop may sleep until then.
  // It may be too early: where an entry was disarmed or its deadline moved on.
  base::Time next_due() const {
    if (earliest_ == no_slot) return std::numeric_limits<base::Time>::max();
    return static_cast<base::Time>((earliest_ + 1) << slot_shift);
  }

 private:
  static std::uint64_t slot_of(base::Time t) { return static_cast<std::uint64_t>(t) >> slot_shift; }
  static constexpr std::uint64_t no_slot = std::numeric_limits<std::uint64_t>::max();
  void insert(WheelEntry& entry, std::uint64_t slot);
  void fire_slot(WheelEntry& head, base::Time now);
  void find_earliest();

  std::array<WheelEntry, slot_count> slots_;  // heads of rings
  std::uint64_t cursor_ = 0;                  // the last slot that has been emptied
  std::uint64_t earliest_ = no_slot;          // no armed entry lies in a slot before this one
  std::size_t armed_ = 0;
};

}  // namespace millrace::net
