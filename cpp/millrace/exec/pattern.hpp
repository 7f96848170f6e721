// Execution patterns: three answers - who accepts, who owns, who runs - and the table of their
// usual mixes.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/error.hpp"
#include "millrace/net/listener.hpp"
#include "millrace/net/reactor.hpp"

namespace millrace::exec {

enum class Accept : std::uint8_t {
  one_loop,         // loop 0 accepts for all
  shared_socket,    // every loop accepts on one socket; one connection may wake several loops
  socket_per_loop,  // SO_REUSEPORT; the kernel picks by address hash, not by load
};

// Which loop owns an accepted connection for its whole life.
enum class Place : std::uint8_t {
  accepting_loop,
  round_robin,
  least_connections,
};

// Where handlers run.
enum class Run : std::uint8_t {
  on_loop,     // inline, on the connection's loop
  on_workers,  // a bounded queue and worker threads
};

// A pattern as a value: what Python builds, what the table holds.
struct Recipe {
  std::string name;
  Accept accept = Accept::one_loop;
  Place place = Place::accepting_loop;
  Run run = Run::on_loop;
  net::Wakeup wakeup = net::Wakeup::epoll;  // of shared_socket
  // Loop 0 only accepts and owns no connection (acceptor_readers and friends with more than one
  // loop).
  bool separate_acceptor = false;
  std::size_t loops = 1;    // event loops, the separate acceptor not counted
  std::size_t workers = 0;  // threads behind the queue
  std::size_t queue_capacity =
      1024;  // requests that may wait for a worker; one more is answered 503
};

// Errc::invalid_option with a sentence where the recipe contradicts itself (0 loops, workers
// without queue, ...).
base::Status check(const Recipe& recipe);

// The patterns by name, with their defaults; "shared_acceptors" has a row for each wake-up besides.
// Every server test runs over every row.
std::span<const Recipe> recipes();
// Null where there is no such row.
const Recipe* find_recipe(std::string_view name);

// Work for a handler: no allocation, and exec/ stays ignorant of what it is. `run` is called once,
// by one thread.
struct Work {
  void* subject = nullptr;
  void (*run)(void* subject) = nullptr;
};

// Which loop owns an accepted connection. Called on the accepting loop.
class Placement {
 public:
  virtual ~Placement() = default;
  virtual std::size_t place(std::size_t accepting_loop) = 0;  // index of the home loop
};
std::unique_ptr<Placement> make_placement(Place place, std::span<net::Reactor* const> owners);

// Where handlers run. dispatch() is called on the connection's loop, end_of_turn() at the end of
// its turn.
class Dispatch : public net::TurnObserver {
 public:
  virtual base::Status dispatch(Work work) = 0;  // a full queue is Errc::overloaded
  virtual void stop() = 0;                       // runs what is queued, then joins; not on a worker
};

// What surrounds a worker thread and each of its batches: a language run-time attaches here.
class WorkerGuard {
 public:
  virtual ~WorkerGuard() = default;
  virtual void thread_begins() = 0;
  virtual void enter() = 0;
  virtual void leave() = 0;
  virtual void thread_ends() = 0;
};

struct QueueCounters {
  trace::Counter dispatched, refused;  // written under the queue's lock
  trace::Counter depth_max;
  trace::Counter wait_ns;  // sum over all requests that left the queue
  trace::Counter wakeups;  // times a sleeping worker was woken
};

class WorkerQueue;  // worker_queue.hpp

std::unique_ptr<Dispatch> make_inline_dispatch();

}  // namespace millrace::exec
