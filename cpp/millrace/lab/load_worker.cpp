#include "millrace/lab/load_worker.hpp"

#include <time.h>

#include <algorithm>
#include <utility>

namespace millrace::lab {

using base::Time;

namespace {

constexpr Time never = std::numeric_limits<Time>::max();

base::Duration thread_cpu() {
  timespec used;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return base::seconds(used.tv_sec) + used.tv_nsec;
}

}  // namespace

LoadShare share_of(const LoadOptions& options, std::size_t index) {
  auto const threads = options.threads;
  auto const part = [&](std::uint64_t whole) {
    return whole / threads + (index < whole % threads);
  };
  LoadShare share;
  share.connections = part(options.connections);
  share.rate = options.pace.rate / static_cast<double>(threads);
  share.phase = static_cast<double>(index) / static_cast<double>(threads);
  base::Random seeds(options.pace.seed);
  for (std::size_t i = 0; i <= index; ++i) share.seed = seeds.next();
  if (options.pace.requests != 0) share.requests = part(options.pace.requests);
  return share;
}

LoadWorker::LoadWorker(const LoadTarget& where, const LoadOptions& what, LoadTally& counts,
                       const LoadShare& share)
    : LoadCrew(loop_, where, what, counts),
      share_(share),
      arrivals_(what.pace.spacing, share.rate, share.seed, share.phase),
      timer_(loop_, [this](Time now) { on_timer(now); }) {
  LoadCrew& crew = *this;
  connections_.reserve(share.connections);
  for (std::size_t i = 0; i < share.connections; ++i)
    connections_.push_back(std::make_unique<LoadConnection>(crew));
}

LoadWorker::~LoadWorker() = default;

void LoadWorker::run() {
  loop_.post([this] { connect_more(); });
  loop_.run();
}

void LoadWorker::stop() {
  loop_.post([this] { finish(net::Reactor::clock()); });
}

// --- from the first connect to the first request

void LoadWorker::connect_more() {
  while (connects_begun_ < connections_.size() &&
         connects_begun_ - connects_over_ < connects_at_once)
    connections_[connects_begun_++]->connect();
}

void LoadWorker::one_connect_over(Time now) {
  ++connects_over_;
  connect_more();
  if (connects_over_ < connections_.size()) return;
  if (connected_)
    begin(now);
  else
    finish(now);  // nobody there
}

// All connections stand, or have failed once: what connecting costs is in its own histogram, not in
// the requests'.
void LoadWorker::begin(Time now) {
  begun_ = true;
  auto const& pace = options.pace;
  record_from = now + pace.warmup;
  end_ = pace.duration > 0 ? record_from + pace.duration : never;
  arrivals_.start(now);
  if (pace.warmup == 0) begin_recording();
  for (auto& connection : connections_) {
    if (connection->is_idle()) give_work(*connection, net::Reactor::clock());
    if (connection->is_away()) connection->connect();
  }
  set_timer();
}

void LoadWorker::begin_recording() {
  recording_ = true;
  cpu_before_ = thread_cpu();
  bytes_in_before_ = loop_.counters().bytes_in.get();
  bytes_out_before_ = loop_.counters().bytes_out.get();
}

// --- the schedule

void LoadWorker::give_work(LoadConnection& connection, Time now) {
  if (!is_open_loop()) {
    if (is_due(now)) send(connection, now, now);
    return;
  }
  auto const due = arrivals_.next();
  if (due <= now && is_due(due)) {
    send(connection, arrivals_.take(), now);
  } else {
    list_idle(connection);
  }
}

void LoadWorker::send(LoadConnection& connection, Time due, Time now) {
  take(due);
  tally.in_flight.set(++in_flight_);
  connection.send(due, now);
}

void LoadWorker::take(Time due) {
  if (due >= record_from) ++taken_;
}

// One `now` for all that are due: those behind the first are late by the microseconds of the sends
// before them, and that counts as latency rather than against it.
void LoadWorker::send_due(Time now) {
  while (arrivals_.next() <= now && is_due(arrivals_.next())) {
    auto* const connection = first_idle();
    if (!connection) return;  // the next one that becomes idle takes it
    send(*connection, arrivals_.take(), now);
  }
}

void LoadWorker::on_timer(Time now) {
  timer_at_ = 0;
  if (!recording_ && now >= record_from) begin_recording();
  if (is_open_loop()) send_due(now);
  if (now >= end_) schedule_over_ = true;
  finish_if_over(now);
  if (!over_) set_timer();
}

// The next moment at which something has to be done that no answer will bring about.
void LoadWorker::set_timer() {
  auto next = recording_ ? never : record_from;
  if (!schedule_over_) next = std::min(next, end_);
  if (is_open_loop() && is_due(arrivals_.next()) && first_idle())
    next = std::min(next, arrivals_.next());
  // What is set already need not be set again, and what is set too early only fires once in vain.
  if (next == never || (timer_at_ != 0 && timer_at_ <= next)) return;
  timer_at_ = next;
  timer_.set(next);
}

// --- what connections tell

void LoadWorker::on_idle(LoadConnection& connection, Time now) {
  connected_ = true;
  if (over_) return;
  if (!begun_) {
    one_connect_over(now);
    return;
  }
  give_work(connection, now);
  if (connection.is_listed) set_timer();
}

void LoadWorker::on_done(Time now) {
  tally.in_flight.set(--in_flight_);
  finish_if_over(now);
}

bool LoadWorker::on_connect_failed(base::Error why) {
  if (over_) return false;
  if (begun_) {
    fail_due(why.code);
    return !over_;
  }
  connect_error_ = std::move(why);
  one_connect_over(net::Reactor::clock());
  return false;  // begin() tries again
}

bool LoadWorker::on_lost() {
  auto const is_all_sent = schedule_over_ || taken_ >= share_.requests;
  return begun_ && !over_ && !is_all_sent;
}

// A connection that cannot be made fails the request that it would have carried.
void LoadWorker::fail_due(base::Errc why) {
  auto const now = net::Reactor::clock();
  auto due = now;
  if (is_open_loop()) {
    due = arrivals_.next();
    if (due > now) return;
  }
  if (!is_due(due)) return;
  if (is_open_loop()) (void)arrivals_.take();
  take(due);
  tally.done.add();
  if (due >= record_from) {
    tally.failed.add();
    tally.errors[static_cast<std::size_t>(why)].add();
  }
  finish_if_over(now);
}

// --- the list of idle connections, for an open loop

void LoadWorker::list_idle(LoadConnection& connection) {
  if (connection.is_listed) return;
  connection.is_listed = true;
  connection.next_idle = nullptr;
  (idle_ ? last_idle_->next_idle : idle_) = &connection;
  last_idle_ = &connection;
}

// Those that were closed while they stood in the list are dropped here.
LoadConnection* LoadWorker::first_idle() {
  while (idle_ && !idle_->is_idle()) {
    idle_->is_listed = false;
    idle_ = idle_->next_idle;
  }
  return idle_;
}

// --- the end

void LoadWorker::finish_if_over(Time now) {
  if (!begun_ || over_ || in_flight_ > 0) return;
  if (schedule_over_ || taken_ >= share_.requests) finish(now);
}

void LoadWorker::finish(Time now) {
  if (std::exchange(over_, true)) return;
  if (recording_) {
    auto const until = schedule_over_ ? std::max(now, end_) : now;
    tally.elapsed_ns.set(static_cast<std::uint64_t>(until - record_from));
    tally.cpu_ns.set(static_cast<std::uint64_t>(thread_cpu() - cpu_before_));
    tally.bytes_in.set(loop_.counters().bytes_in.get() - bytes_in_before_);
    tally.bytes_out.set(loop_.counters().bytes_out.get() - bytes_out_before_);
    for (; arrivals_.next() < std::min(now, end_) && taken_ < share_.requests; ++taken_)
      if (arrivals_.take() >= record_from) tally.unsent.add();
  }
  loop_.stop();
}

}  // namespace millrace::lab
