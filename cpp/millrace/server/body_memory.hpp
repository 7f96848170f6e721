// What the bodies of all requests hold of memory, and who waits until it is less.
#pragma once
#include <atomic>
#include <cstddef>
#include <functional>

#include "millrace/server/waiting_line.hpp"

namespace millrace::server {

struct BodyMemoryOptions {
  std::size_t most = 0;              // bytes
  std::size_t high_water_bytes = 0;  // above them no body is begun
  std::size_t promise = 0;           // what a body may send before anybody has looked at it
  base::Duration patience = 0;       // of a request whose body is not begun
};

// Up to the high-water mark every body is read. Above it those go on that have begun, so that they
// come to an end, and others are left with their clients, whom TCP holds back; they begin in their
// order once what is held is at the mark or below. Beyond the limit nothing is held.
class BodyMemory final : WaitingLine::Places {
 public:
  using Tell = std::function<void(conn::Exchange&)>;
  // `begin` and `refuse` are called on the exchange's home loop, for those that had to wait.
  BodyMemory(const BodyMemoryOptions& options, Tell begin, Tell refuse)
      : options_(options), begin_(std::move(begin)), refuse_(std::move(refuse)) {}
  BodyMemory(const BodyMemory&) = delete;
  BodyMemory& operator=(const BodyMemory&) = delete;

  // Home loop, as all that take an exchange. False: its body waits, and `begin` or `refuse`
  // follows.
  bool may_begin(conn::Exchange& exchange);
  // So many bytes more, of its body or of what decodes it. False: they are beyond the limit.
  bool hold(conn::Exchange& exchange, std::size_t bytes);
  // The exchange is over, and holds nothing any more.
  void leave(conn::Exchange& exchange);

  std::size_t held() const { return held_.load(); }     // any thread
  std::size_t waiting() const { return line_.size(); }  // any thread

 private:
  // WaitingLine::Places
  bool take_place() override;
  void return_place() override;
  void on_turn(conn::Exchange& exchange) override;
  void on_patience_end(conn::Exchange& exchange) override { refuse_(exchange); }
  bool is_above_mark() const;

  BodyMemoryOptions const options_;
  Tell begin_, refuse_;
  std::atomic<std::size_t> held_{0};
  // What those whose turn has come may send at once, and have not yet sent: as if it were held, or
  // all that wait would begin together.
  std::atomic<std::size_t> promised_{0};
  WaitingLine line_{*this};
};

}  // namespace millrace::server
