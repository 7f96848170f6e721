#include "millrace/net/reactor.hpp"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <limits>

#include "millrace/net/clock.hpp"
#include "millrace/net/system_error.hpp"

namespace millrace::net {
namespace {

constexpr auto never = std::numeric_limits<base::Time>::max();

// What is due sooner is waited for by epoll_wait's own timeout, which is set up and taken down with
// every wait. What is due later is left to an alarm that stays set over many waits.
constexpr base::Duration alarm_above = base::milliseconds(20);

// Nobody cancels a loop's thread. Left as it is, the C library of a process with threads puts two
// locked instructions around each system call, so that it could be cancelled there.
void forbid_cancellation() {
  ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
  ::pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
}

int create_epoll() {
  int const descriptor = ::epoll_create1(EPOLL_CLOEXEC);
  if (descriptor < 0) throw_system_error("cannot create an epoll descriptor");
  return descriptor;
}

}  // namespace

Resident::Resident(Reactor& reactor) : first_(&reactor.residents_), next_(reactor.residents_) {
  if (next_) next_->previous_ = this;
  *first_ = this;
}

Resident::~Resident() {
  if (next_) next_->previous_ = previous_;
  (previous_ ? previous_->next_ : *first_) = next_;
}

Reactor::Reactor(base::Time (*time)()) : epoll_(create_epoll()), time_(time) {
  event_descriptor_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  alarm_descriptor_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  now_ = time_();
  wheel_.advance(now_);
  // Both edge-triggered, so that neither has to be read.
  if (event_descriptor_ < 0 || !watch(event_descriptor_, EPOLLIN | EPOLLET, doorbell_) ||
      alarm_descriptor_ < 0 || !watch(alarm_descriptor_, EPOLLIN | EPOLLET, alarm_)) {
    if (event_descriptor_ >= 0) ::close(event_descriptor_);
    if (alarm_descriptor_ >= 0) ::close(alarm_descriptor_);
    ::close(epoll_);
    throw_system_error("cannot create an event descriptor");
  }
}

Reactor::~Reactor() {
  // What the tasks hold may unwatch its descriptor: while there is still something to unwatch it
  // from.
  posted_.clear();
  bury();
  while (residents_) delete residents_;
  bury();
  ::close(alarm_descriptor_);
  ::close(event_descriptor_);
  ::close(epoll_);
}

base::Time Reactor::clock() { return read_clock(); }

void Reactor::become_home() {
  if (in_thread()) return;
  forbid_cancellation();
  home_.store(std::this_thread::get_id(), std::memory_order_relaxed);
}

void Reactor::run() {
  become_home();
  while (!is_stopped()) turn_once(never);
  open_letters();
  run_posted();
  for (auto* observer : turn_observers_) observer->end_of_turn();
  bury();
  home_.store({}, std::memory_order_relaxed);
}

void Reactor::turn(base::Time until) {
  become_home();
  do {
    if (turn_once(until)) return;
    if (until != never && now_ >= until) return;
  } while (!is_stopped());
}

void Reactor::stop() {
  stopped_.store(true);
  wake();
}

bool Reactor::turn_once(base::Time until) {
  int timeout = wait_time(until);
  if (timeout != 0 && (!graveyard_.empty() || (guard_ && guard_->has_ready()))) timeout = 0;
  auto const count = wait(timeout);
  if (now_ >= next_second_) run_each_second();

  auto& outbox = Outbox::mine();
  outbox.hold();
  dispatch_events(count);
  open_letters();
  run_posted();
  // After the events: bytes that have come count, even if their deadline has passed meanwhile.
  wheel_.advance(now_);
  for (auto* observer : turn_observers_) observer->end_of_turn();
  outbox.release();
  bury();
  return guard_ && guard_->end_of_turn();
}

int Reactor::wait_time(base::Time until) {
  if (until == 0) return 0;
  auto earliest = wheel_.next_due();
  if (!each_second_.empty()) earliest = std::min(earliest, next_second_);
  if (earliest != never && earliest - now_ > alarm_above && set_alarm(earliest)) earliest = never;
  earliest = std::min(earliest, until);
  if (earliest == never) return -1;
  // now_ is as old as the last turn's handlers took; who names a time wants it met.
  auto const left = earliest - (until == never ? now_ : clock());
  if (left <= 0) return 0;
  auto const rounded_up = (left + base::milliseconds(1) - 1) / base::milliseconds(1);
  return static_cast<int>(std::min<base::Time>(rounded_up, INT_MAX));
}

bool Reactor::set_alarm(base::Time at) {
  if (alarm_at_ > now_ && alarm_at_ <= at)
    return true;  // it may ring too early: then it is set anew
  itimerspec when{};
  when.it_value = {.tv_sec = at / base::seconds(1), .tv_nsec = at % base::seconds(1)};
  if (::timerfd_settime(alarm_descriptor_, TFD_TIMER_ABSTIME, &when, nullptr) != 0) return false;
  alarm_at_ = at;
  return true;
}

// No wake-up is lost: a sender first publishes its letter and then looks at sleeping_, we first set
// sleeping_ and then look for letters. All four are sequentially consistent, so one of the two sees
// the other.
std::size_t Reactor::wait(int timeout_ms) {
  bool sleeps = timeout_ms != 0;
  if (sleeps) {
    sleeping_.store(true);
    if (letters_.load() || has_posted_.load() || stopped_.load()) {
      sleeping_.store(false, std::memory_order_relaxed);
      sleeps = false;
    }
  }
  if (sleeps && guard_) guard_->before_wait();
  int const count =
      ::epoll_wait(epoll_, ready_.data(), static_cast<int>(ready_.size()), sleeps ? timeout_ms : 0);
  if (sleeps) sleeping_.store(false, std::memory_order_relaxed);
  now_ = time_();
  if (sleeps && guard_) guard_->after_wait();
  counters_.waits.add();
  if (count <= 0) return 0;  // nothing, or a signal
  counters_.events.add(static_cast<std::uint64_t>(count));
  return static_cast<std::size_t>(count);
}

void Reactor::dispatch_events(std::size_t count) {
  auto& outbox = Outbox::mine();
  ready_count_ = count;
  for (ready_at_ = 0; ready_at_ < ready_count_;) {
    auto const& event = ready_[ready_at_++];
    if (!event.data.ptr) continue;  // unwatched by one before it
    static_cast<Readiness*>(event.data.ptr)->on_ready(event.events);
    if (!outbox.empty()) outbox.flush_if_late(clock());
  }
  ready_count_ = 0;
}

void Reactor::run_each_second() {
  next_second_ = now_ + base::seconds(1);
  for (std::size_t i = 0; i < each_second_.size(); ++i) each_second_[i]();
}

void Reactor::wake() {
  // Looked at before it is written: a loop that is awake keeps the line to itself.
  if (!sleeping_.load() || !sleeping_.exchange(false)) return;
  std::uint64_t const one = 1;
  while (::write(event_descriptor_, &one, sizeof one) < 0 && errno == EINTR) continue;
}

void Reactor::post(std::function<void()> task) {
  {
    std::lock_guard const guard(posted_lock_);
    posted_.push_back(std::move(task));
    has_posted_.store(true);
  }
  wake();
}

void Reactor::run_posted() {
  if (!has_posted_.load(std::memory_order_acquire)) return;
  {
    std::lock_guard const guard(posted_lock_);
    running_.swap(posted_);
    has_posted_.store(false, std::memory_order_relaxed);
  }
  for (auto& task : running_) {
    task();
    task = nullptr;  // what it holds ends here, not with the last of the batch
  }
  running_.clear();
}

void Reactor::deliver(Letter& letter) {
  if (Outbox::mine().take(*this, letter)) return;
  deliver_chain(letter, letter);
}

void Reactor::deliver_chain(Letter& newest, Letter& oldest) {
  auto* head = letters_.load(std::memory_order_relaxed);
  do oldest.next_letter = head;
  while (!letters_.compare_exchange_weak(head, &newest, std::memory_order_seq_cst,
                                         std::memory_order_relaxed));
  // Who found letters there leaves the waking to who found none.
  if (!head) wake();
}

void Reactor::open_letters() {
  if (!letters_.load(std::memory_order_relaxed)) return;
  auto* newest = letters_.exchange(nullptr, std::memory_order_acquire);
  Letter* oldest = nullptr;
  while (newest) {
    auto* const before = newest->next_letter;
    newest->next_letter = oldest;
    oldest = newest;
    newest = before;
  }
  while (oldest) {
    auto* const after = oldest->next_letter;  // the letter is its receiver's once opened
    oldest->open(*oldest);
    oldest = after;
  }
}

base::Status Reactor::watch(int descriptor, std::uint32_t epoll_events, Readiness& readiness) {
  epoll_event event{.events = epoll_events, .data = {.ptr = &readiness}};
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) < 0)
    return system_error(errno, "cannot watch a descriptor");
  auto const index = static_cast<std::size_t>(descriptor);
  if (index >= watched_.size()) watched_.resize(index + 1);
  watched_[index] = &readiness;
  return {};
}

void Reactor::rewatch(int descriptor, std::uint32_t epoll_events, Readiness& readiness) {
  epoll_event event{.events = epoll_events, .data = {.ptr = &readiness}};
  watched_[static_cast<std::size_t>(descriptor)] = &readiness;
  [[maybe_unused]] int const failed = ::epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event);
  assert(!failed && "rewatch of a descriptor that is not watched");
}

void Reactor::unwatch(int descriptor) {
  auto const index = static_cast<std::size_t>(descriptor);
  if (descriptor < 0 || index >= watched_.size()) return;
  auto* const readiness = std::exchange(watched_[index], nullptr);
  if (!readiness) return;
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
  for (auto i = ready_at_; i < ready_count_; ++i)
    if (ready_[i].data.ptr == readiness) ready_[i].data.ptr = nullptr;
}

void Reactor::forget_turns(TurnObserver& observer) { std::erase(turn_observers_, &observer); }

void Reactor::bury() {
  // By index: a destructor may dispose of more.
  for (std::size_t i = 0; i < graveyard_.size(); ++i) {
    auto const [object, destroy] = graveyard_[i];
    destroy(object);
  }
  graveyard_.clear();
}

}  // namespace millrace::net
