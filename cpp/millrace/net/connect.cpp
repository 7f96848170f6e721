// A connect under way: it ends when the kernel says so, or the wheel.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include "millrace/net/socket_options.hpp"
#include "millrace/net/stream.hpp"
#include "millrace/net/system_error.hpp"

namespace millrace::net {
namespace {

// A Unix listener whose queue is full says so at once instead of queueing us, and tells nobody when
// it has room. We ask again this often.
constexpr base::Duration retry_after = base::milliseconds(50);

class Connecting final : public Resident, private Readiness {
 public:
  using Done = std::function<void(base::Result<int>)>;

  Connecting(Reactor& reactor, const Endpoint& to, base::Time deadline, Done done)
      : Resident(reactor), reactor_(reactor), to_(to), deadline_(deadline), done_(std::move(done)) {
    timer_.connecting = this;
    timer_.fire = [](WheelEntry& entry, base::Time now) {
      static_cast<Timer&>(entry).connecting->on_timer(now);
    };
  }
  ~Connecting() override { release(); }

  void begin(const SocketOptions& options);

 private:
  struct Timer : WheelEntry {
    Connecting* connecting = nullptr;
  };

  void attempt();
  void on_ready(std::uint32_t) override;
  void on_timer(base::Time now);
  void fail_later(int number);
  void finish(base::Result<int> result);
  void release();
  std::string what() const { return "cannot connect to " + to_.to_string(); }

  Reactor& reactor_;
  Endpoint to_;
  base::Time deadline_;
  Done done_;
  Timer timer_;
  int descriptor_ = -1;
  int failed_with_ = 0;  // told by the timer: never from inside connect_socket
};

void Connecting::begin(const SocketOptions& options) {
  descriptor_ = ::socket(to_.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor_ < 0) {
    fail_later(errno);
    return;
  }
  (void)set_socket_options(descriptor_, to_.family(), options, SocketMoment::before_connect);
  attempt();
}

void Connecting::attempt() {
  int const failed = ::connect(descriptor_, to_.address(), to_.size) < 0 ? errno : 0;
  if (failed == EAGAIN && to_.is_unix()) {
    reactor_.wheel().arm(timer_, std::min(deadline_, reactor_.now() + retry_after));
    return;
  }
  if (failed != 0 && failed != EINPROGRESS && failed != EINTR) {
    fail_later(failed);
    return;
  }
  // A socket that is connected already is writable at once, so both ways end in on_ready.
  if (!reactor_.watch(descriptor_, EPOLLOUT, *this)) {
    fail_later(errno);
    return;
  }
  reactor_.wheel().arm(timer_, deadline_);
}

void Connecting::on_ready(std::uint32_t) {
  int number = 0;
  socklen_t size = sizeof number;
  ::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &number, &size);
  if (number != 0) {
    finish(system_error(number, what()));
    return;
  }
  reactor_.unwatch(descriptor_);
  finish(std::exchange(descriptor_, -1));
}

void Connecting::on_timer(base::Time now) {
  if (now >= deadline_)
    finish(base::Error{base::Errc::connect_timeout, {}, what()});
  else
    attempt();
}

void Connecting::fail_later(int number) {
  failed_with_ = number;
  reactor_.post([this] { finish(system_error(failed_with_, what())); });
}

void Connecting::finish(base::Result<int> result) {
  release();
  reactor_.dispose(this);
  done_(std::move(result));
}

void Connecting::release() {
  reactor_.wheel().disarm(timer_);
  if (descriptor_ < 0) return;
  reactor_.unwatch(descriptor_);
  ::close(std::exchange(descriptor_, -1));
}

}  // namespace

void connect_socket(Reactor& reactor, const Endpoint& to, base::Time deadline,
                    std::function<void(base::Result<int>)> done) {
  connect_socket(reactor, to, deadline, std::move(done), {});
}

void connect_socket(Reactor& reactor, const Endpoint& to, base::Time deadline,
                    std::function<void(base::Result<int>)> done, const SocketOptions& options) {
  assert(reactor.may_touch());
  // Its own owner until it has called `done`; the reactor's if that never comes.
  auto connecting = std::make_unique<Connecting>(reactor, to, deadline, std::move(done));
  connecting.release()->begin(options);
}

}  // namespace millrace::net
