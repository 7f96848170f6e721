#include "millrace/net/timer_wheel.hpp"

#include <algorithm>

namespace millrace::net {
namespace {

void link_before(WheelEntry& head, WheelEntry& entry) {
  entry.previous = head.previous;
  entry.next = &head;
  head.previous->next = &entry;
  head.previous = &entry;
}

void unlink(WheelEntry& entry) {
  entry.previous->next = entry.next;
  entry.next->previous = entry.previous;
  entry.next = entry.previous = nullptr;
}

}  // namespace

TimerWheel::TimerWheel() {
  for (auto& head : slots_) head.previous = head.next = &head;
}

void TimerWheel::disarm(WheelEntry& entry) {
  if (!entry.next) return;
  unlink(entry);
  --armed_;
}

void TimerWheel::insert(WheelEntry& entry, std::uint64_t slot) {
  // A deadline beyond the wheel's reach waits in its last slot and is looked at again from there.
  entry.slot = std::clamp(slot, cursor_ + 1, cursor_ + slot_count - 1);
  earliest_ = std::min(earliest_, entry.slot);
  link_before(slots_[entry.slot % slot_count], entry);
  ++armed_;
}

void TimerWheel::advance(base::Time now) {
  // A slot is emptied once it lies behind us as a whole: its entries are due then, so that one
  // wake-up is enough.
  auto const begun = slot_of(now);
  if (begun == 0 || begun - 1 <= cursor_) return;
  auto const last = begun - 1;
  if (last < earliest_) {
    cursor_ = last;
    return;
  }
  // After a long sleep each slot is visited once, not once per turn of the wheel.
  cursor_ = std::max(cursor_, std::max(earliest_ - 1, last > slot_count ? last - slot_count : 0));
  while (cursor_ < last) {
    ++cursor_;
    fire_slot(slots_[cursor_ % slot_count], now);
  }
  find_earliest();
}

// The ring moves to a head of our own first: fire() may arm and disarm any entry, those of this
// slot too.
void TimerWheel::fire_slot(WheelEntry& head, base::Time now) {
  if (head.next == &head) return;
  WheelEntry due;
  due.next = head.next;
  due.previous = head.previous;
  due.next->previous = due.previous->next = &due;
  head.previous = head.next = &head;
  while (due.next != &due) {
    auto& entry = *due.next;
    disarm(entry);
    if (entry.deadline > now)
      insert(entry, slot_of(entry.deadline));
    else
      entry.fire(entry, now);
  }
}

void TimerWheel::find_earliest() {
  earliest_ = no_slot;
  if (armed_ == 0) return;
  auto slot = cursor_ + 1;
  while (slots_[slot % slot_count].next == &slots_[slot % slot_count]) ++slot;
  earliest_ = slot;
}

}  // namespace millrace::net
