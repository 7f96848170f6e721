// One thread of a load run: its loop, its connections, its share of the schedule.
#pragma once
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "millrace/lab/arrivals.hpp"
#include "millrace/lab/load_connection.hpp"
#include "millrace/net/precise_timer.hpp"

namespace millrace::lab {

// The part of the whole that one thread does.
struct LoadShare {
  static constexpr std::uint64_t endless = std::numeric_limits<std::uint64_t>::max();

  std::size_t connections = 1;
  double rate = 0;
  double phase = 0;  // see Arrivals
  std::uint64_t seed = 1;
  std::uint64_t requests = endless;
};
// Of thread `index` of options.threads; what does not divide goes to the first ones.
LoadShare share_of(const LoadOptions& options, std::size_t index);

// Life: connects, warms up, records, waits for what is under way. Home loop only, but for stop().
class LoadWorker final : private LoadCrew {
 public:
  // Connects under way at once: more would overrun a listening socket's queue, and wait a second
  // for it.
  static constexpr std::size_t connects_at_once = 128;

  // The first three outlive it.
  LoadWorker(const LoadTarget& where, const LoadOptions& what, LoadTally& counts,
             const LoadShare& share);
  LoadWorker(const LoadWorker&) = delete;
  LoadWorker& operator=(const LoadWorker&) = delete;
  ~LoadWorker();

  void run();   // on a thread of its own; returns when the run is over
  void stop();  // any thread; what is under way is given up
  // After run(): why there was never a connection. Null: there was.
  const base::Error* connect_error() const {
    return connected_ || !connect_error_ ? nullptr : &*connect_error_;
  }

 private:
  // LoadCrew
  void on_idle(LoadConnection& connection, base::Time now) override;
  void on_done(base::Time now) override;
  bool on_connect_failed(base::Error why) override;
  bool on_lost() override;

  void connect_more();
  void one_connect_over(base::Time now);
  void begin(base::Time now);
  void begin_recording();
  void on_timer(base::Time now);
  void set_timer();

  bool is_open_loop() const { return share_.rate > 0; }
  bool is_due(base::Time due) const {
    return !schedule_over_ && due < end_ && taken_ < share_.requests;
  }
  void give_work(LoadConnection& connection, base::Time now);
  void send(LoadConnection& connection, base::Time due, base::Time now);
  void send_due(base::Time now);
  void fail_due(base::Errc why);
  void take(base::Time due);
  void list_idle(LoadConnection& connection);
  LoadConnection* first_idle();

  void finish_if_over(base::Time now);
  void finish(base::Time now);

  net::Reactor loop_;  // before what lives on it
  LoadShare share_;
  Arrivals arrivals_;
  net::PreciseTimer timer_;
  std::vector<std::unique_ptr<LoadConnection>> connections_;
  LoadConnection* idle_ = nullptr;  // the one that has been idle for longest; all take their turn
  LoadConnection* last_idle_ = nullptr;
  std::size_t connects_begun_ = 0, connects_over_ = 0;  // of the first round
  std::uint64_t taken_ = 0;  // requests of the share that are sent, or could not be
  std::uint64_t in_flight_ = 0;
  base::Time end_ = 0;
  base::Time timer_at_ = 0;
  base::Duration cpu_before_ = 0;
  std::uint64_t bytes_in_before_ = 0, bytes_out_before_ = 0;
  std::optional<base::Error> connect_error_;
  bool connected_ = false;  // at least once
  bool begun_ = false, recording_ = false, schedule_over_ = false, over_ = false;
};

}  // namespace millrace::lab
