// One connection of a load run: sends a request, measures its answer, connects anew when it was
// closed.
#pragma once
#include <memory>

#include "millrace/conn/stream_pump.hpp"
#include "millrace/lab/load_result.hpp"
#include "millrace/lab/load_target.hpp"
#include "millrace/proto/http/limits.hpp"

namespace millrace::lab {

class LoadConnection;

// What the connections of one thread share, and whom they tell. Home loop only.
class LoadCrew {
 public:
  net::Reactor& reactor;
  const LoadTarget& target;
  const LoadOptions& options;
  LoadTally& tally;
  http::Limits limits;
  conn::PumpOptions pump;
  std::size_t endpoint_at = 0;  // of the target's: those before it refused
  base::Time record_from;       // requests that are due from here on are recorded

  LoadCrew(net::Reactor& loop, const LoadTarget& where, const LoadOptions& what, LoadTally& counts);

  // It can take a request: the first time, after a reconnect, or because its answer is whole.
  virtual void on_idle(LoadConnection& connection, base::Time now) = 0;
  // A request of some connection has come to its end, one way or the other.
  virtual void on_done(base::Time now) = 0;
  // These two return whether the connection is wanted back.
  virtual bool on_connect_failed(base::Error why) = 0;
  virtual bool on_lost() = 0;

 protected:
  ~LoadCrew() = default;
};

// Lives as long as its thread, through any number of sockets. Home loop only.
class LoadConnection final : public conn::PumpOwner {
 public:
  explicit LoadConnection(LoadCrew& crew);
  LoadConnection(const LoadConnection&) = delete;
  LoadConnection& operator=(const LoadConnection&) = delete;
  ~LoadConnection();

  // After a failure, so that a server that is down is not hammered. The wheel makes it 67 to 134
  // ms.
  static constexpr base::Duration connect_pause = base::milliseconds(50);

  void connect();
  bool is_away() const { return state_ == State::away; }
  bool is_idle() const { return state_ == State::idle; }
  // Only while idle. `due` is when it should have been sent, `now` is when it is.
  void send(base::Time due, base::Time now);

  LoadConnection* next_idle = nullptr;  // the crew's list of idle ones
  bool is_listed = false;               // in it, perhaps no longer idle

  // conn::PumpOwner
  void on_event(http::Event&& event, base::Time ready, base::Time received) override;
  void on_written(base::Time) override {}
  void on_room() override {}
  bool on_peer_ended() override { return true; }
  void on_failure(const base::Error& error) override;
  void on_hand_over() override;
  void on_closed(const base::Error* why) override;

 private:
  enum class State : std::uint8_t {
    away,  // no socket, and none under way
    connecting,
    idle,
    busy,     // a request is under way
    leaving,  // the answer was the last on this socket
  };
  struct Timer : net::WheelEntry {
    LoadConnection* connection = nullptr;
  };

  void on_connected(base::Result<int> descriptor);
  void connect_failed(base::Error why);
  void connect_later();
  void take_head(const http::HeadReceived& head, base::Time received);
  void take_data(const base::Bytes& bytes);
  void take_end(base::Time received);
  void on_timer(base::Time now);
  void time_out();
  void break_off(base::Errc why, base::Time now);
  void count_error(std::size_t kind);
  void count_answer(base::Time received);

  LoadCrew& crew_;
  std::unique_ptr<conn::StreamPump> pump_;
  Timer timer_;  // of the request under way, or until the next connect
  base::Time connect_began_ = 0;
  std::size_t endpoint_at_ = 0;  // the one being tried
  base::Time due_ = 0, sent_ = 0, head_at_ = 0;
  http::StreamId stream_ = 1;
  std::size_t body_at_ = 0;
  std::uint16_t status_ = 0;
  State state_ = State::away;
  bool keeps_alive_ = true;
  bool body_is_wrong_ = false;
  bool was_connected_ = false;
};

}  // namespace millrace::lab
