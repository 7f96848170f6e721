// The answer of a plain function that returned an iterator.
#pragma once
#include <atomic>

#include "answer.hpp"
#include "request.hpp"
#include "route.hpp"

#include "millrace/net/timer_wheel.hpp"

namespace millrace::python {

// Pulls the iterator where its handler ran: on the exchange's loop, a few pieces per turn, or on a
// worker. Where the connection wants no more for now it parks, and holds no thread: on_room makes
// the loop go on or queues it for a worker again. Owns itself until on_released.
class StreamedBody final : public conn::ExchangeObserver, public net::Letter {
 public:
  // Takes over `request`. GIL held, on the handler's side.
  static void begin(conn::Exchange& exchange, const Route& route, RequestObject* request,
                    PyObject* context, PreparedAnswer answer);

  // conn::ExchangeObserver, on the exchange's home loop
  void on_body(conn::Exchange&) override {}
  void on_room(conn::Exchange&) override { go_on(); }
  void on_gone(conn::Exchange&) override { go_on(); }
  void on_released() override { delete this; }

 private:
  // Pieces per turn of a loop, so that a long body does not keep the loop from everybody else.
  static constexpr int pieces_per_turn = 16;
  enum class State : std::uint8_t {
    running,  // or about to
    told,     // running, and there is room or nobody to write for: look before parking
    parked,
  };
  struct Retry : net::WheelEntry {
    StreamedBody* body = nullptr;
  };

  StreamedBody(conn::Exchange& exchange, const Route& route, RequestObject* request,
               PyObject* context, PreparedAnswer answer);
  ~StreamedBody() = default;
  void run();
  bool send_piece(bool& has_room);
  bool park();
  void go_on();
  void dispatch();
  void finish();
  void fail();
  void abandon();
  conn::Exchange& let_go();

  conn::Exchange& exchange_;
  const Route& route_;
  RequestObject* request_;
  Ref context_;
  PreparedAnswer answer_;
  std::atomic<State> state_{State::running};
  Retry retry_;
};

}  // namespace millrace::python
