// The ways a loop hears of a new connection: through epoll, or from a companion thread that blocks.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "millrace/net/interruption.hpp"
#include "millrace/net/listener.hpp"
#include "millrace/net/system_error.hpp"

namespace millrace::net {
namespace {

int accept_from(const ListenSocket& socket, Peer& peer) {
  peer.endpoint.size = sizeof peer.endpoint.storage;
  int const descriptor = ::accept4(socket.descriptor(), peer.endpoint.address(),
                                   &peer.endpoint.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (descriptor >= 0) socket.prepare(descriptor);
  return descriptor;
}

class EpollAcceptor final : public Acceptor, private Readiness {
 public:
  EpollAcceptor(Reactor& reactor, const ListenSocket& socket, Wakeup wakeup, OnAccept on_accept)
      : reactor_(reactor),
        socket_(socket),
        on_accept_(std::move(on_accept)),
        events_(wakeup == Wakeup::epoll_exclusive ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN) {
    pause_.acceptor = this;
    pause_.fire = [](WheelEntry& entry, base::Time) {
      static_cast<Pause&>(entry).acceptor->resume();
    };
  }
  ~EpollAcceptor() override { stop(); }

  base::Status start() override {
    assert(reactor_.may_touch());
    if (auto watched = reactor_.watch(socket_.descriptor(), events_, *this); !watched)
      return watched;
    is_started_ = true;
    socket_.join();
    return {};
  }

  void stop() override {
    if (!std::exchange(is_started_, false)) return;
    assert(reactor_.may_touch());
    socket_.leave();
    reactor_.wheel().disarm(pause_);
    reactor_.unwatch(socket_.descriptor());
  }

 private:
  struct Pause : WheelEntry {
    EpollAcceptor* acceptor = nullptr;
  };

  void on_ready(std::uint32_t) override {
    int const most = socket_.is_shared() ? 1 : accepts_per_wakeup;
    for (int taken = 0; taken < most && is_started_;) {
      Peer peer{.endpoint = {}, .ready = reactor_.now()};
      int const descriptor = accept_from(socket_, peer);
      if (descriptor >= 0) {
        ++taken;
        reactor_.counters().accepts.add();
        on_accept_(descriptor, peer);
        // Other processes have been woken too: without this a burst is accepted by one of them
        // before the scheduler has found a core for the next, and what takes all of it computes
        // alone.
        if (socket_.is_inherited()) ::sched_yield();
        continue;
      }
      if (errno == EAGAIN) {
        if (taken == 0) reactor_.counters().accept_misses.add();
        return;
      }
      if (errno == EINTR || errno == ECONNABORTED) continue;
      // Whatever else it is, level-triggered epoll would repeat it at once.
      pause_accepting();
      return;
    }
  }

  void pause_accepting() {
    reactor_.counters().accept_failures.add();
    reactor_.unwatch(socket_.descriptor());
    reactor_.wheel().arm(pause_, reactor_.now() + accept_pause);
  }

  void resume() {
    if (!reactor_.watch(socket_.descriptor(), events_, *this)) pause_accepting();
  }

  Reactor& reactor_;
  const ListenSocket& socket_;
  OnAccept on_accept_;
  std::uint32_t events_;
  Pause pause_;
  bool is_started_ = false;
};

// What a companion thread has accepted, on its way to the loop. Shared by the acceptor, its thread
// and the tasks it has posted, which may run after the acceptor is gone.
struct Arrivals {
  struct Arrival {
    int descriptor;
    Peer peer;
  };

  explicit Arrivals(OnAccept f) : on_accept(std::move(f)) {}
  ~Arrivals() {
    for (auto const& arrival : waiting) ::close(arrival.descriptor);
  }

  void take_over(Reactor& reactor);

  std::mutex lock;
  std::condition_variable stop_asked, stopped, taken_over;
  std::vector<Arrival> waiting;
  std::uint64_t failures = 0;           // for the loop to count
  std::atomic<bool> must_stop = false;  // written under the lock
  bool has_stopped = false;
  OnAccept on_accept;  // home loop only
};

// Home loop only.
void Arrivals::take_over(Reactor& reactor) {
  std::vector<Arrival> batch;
  {
    std::lock_guard const guard(lock);
    batch.swap(waiting);
    reactor.counters().accept_failures.add(std::exchange(failures, 0));
  }
  taken_over.notify_one();
  reactor.counters().accepts.add(batch.size());
  for (auto const& [descriptor, peer] : batch) on_accept(descriptor, peer);
}

class BlockingAcceptor final : public Acceptor {
 public:
  BlockingAcceptor(Reactor& reactor, const ListenSocket& socket, OnAccept on_accept)
      : reactor_(reactor),
        socket_(socket),
        // Shared with the thread and with posted tasks; the last of them drops it.
        arrivals_(std::make_shared<Arrivals>(std::move(on_accept))) {}
  ~BlockingAcceptor() override { stop(); }

  base::Status start() override {
    assert(reactor_.may_touch());
    int const flags = ::fcntl(socket_.descriptor(), F_GETFL);
    if (flags < 0 || ::fcntl(socket_.descriptor(), F_SETFL, flags & ~O_NONBLOCK) < 0)
      return system_error(errno, "cannot make a listening socket blocking");
    socket_.join();
    thread_ = std::thread([this] { accept_until_stopped(); });
    return {};
  }

  void stop() override {
    if (!thread_.joinable()) return;
    assert(reactor_.may_touch());
    end_thread();
    socket_.leave();
    // Nobody else knows of a connection that has left the kernel's queue.
    arrivals_->take_over(reactor_);
  }

 private:
  void end_thread();
  void accept_until_stopped();  // companion thread
  void await_connection();
  void pause_accepting();
  void hand_over(std::optional<Arrivals::Arrival> arrival);
  void await_room();

  Reactor& reactor_;
  const ListenSocket& socket_;
  std::shared_ptr<Arrivals> arrivals_;  // other owners: the posted tasks
  std::thread thread_;
};

// shutdown(2) would end accept(2) too, but for everybody who shares the socket, and reset its
// queue.
void BlockingAcceptor::end_thread() {
  {
    Interruption const interruption;  // its lock before ours, which the wait takes again and again
    std::unique_lock guard(arrivals_->lock);
    arrivals_->must_stop = true;
    arrivals_->stop_asked.notify_all();
    arrivals_->taken_over.notify_one();
    while (!arrivals_->has_stopped) {
      interruption.hit(thread_);
      arrivals_->stopped.wait_for(guard, std::chrono::milliseconds(1));
    }
  }
  thread_.join();
}

void BlockingAcceptor::accept_until_stopped() {
  Interruption::admit();
  while (!arrivals_->must_stop) {
    Arrivals::Arrival arrival{};
    arrival.descriptor = accept_from(socket_, arrival.peer);
    if (arrival.descriptor >= 0) {
      arrival.peer.ready = Reactor::clock();
      hand_over(arrival);
      await_room();
    } else if (errno == EAGAIN) {
      await_connection();
    } else if (errno != EINTR && errno != ECONNABORTED) {
      // Whatever else it is, the next call would meet it at once.
      pause_accepting();
    }
  }
  std::lock_guard const guard(arrivals_->lock);
  arrivals_->has_stopped = true;
  arrivals_->stopped.notify_all();
}

// Another process that shares the socket has made it non-blocking.
void BlockingAcceptor::await_connection() {
  pollfd listening{.fd = socket_.descriptor(), .events = POLLIN, .revents = 0};
  ::poll(&listening, 1, -1);
}

void BlockingAcceptor::pause_accepting() {
  hand_over(std::nullopt);
  std::unique_lock guard(arrivals_->lock);
  arrivals_->stop_asked.wait_for(guard, std::chrono::nanoseconds(accept_pause),
                                 [this] { return arrivals_->must_stop.load(); });
}

// One task for all that arrives until it runs.
void BlockingAcceptor::hand_over(std::optional<Arrivals::Arrival> arrival) {
  bool is_first = false;
  {
    std::lock_guard const guard(arrivals_->lock);
    is_first = arrivals_->waiting.empty() && arrivals_->failures == 0;
    if (arrival)
      arrivals_->waiting.push_back(*arrival);
    else
      ++arrivals_->failures;
  }
  if (is_first)
    reactor_.post([&reactor = reactor_, arrivals = arrivals_] { arrivals->take_over(reactor); });
}

void BlockingAcceptor::await_room() {
  std::unique_lock guard(arrivals_->lock);
  arrivals_->taken_over.wait(
      guard, [this] { return arrivals_->waiting.size() < most_arrivals || arrivals_->must_stop; });
}

}  // namespace

std::unique_ptr<Acceptor> make_acceptor(Reactor& reactor, const ListenSocket& socket, Wakeup wakeup,
                                        OnAccept on_accept) {
  if (wakeup == Wakeup::blocking)
    return std::make_unique<BlockingAcceptor>(reactor, socket, std::move(on_accept));
  return std::make_unique<EpollAcceptor>(reactor, socket, wakeup, std::move(on_accept));
}

}  // namespace millrace::net
