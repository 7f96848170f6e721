// Listening sockets, and the three ways a loop can hear of a new connection.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/bytes.hpp"
#include "millrace/base/error.hpp"
#include "millrace/base/time.hpp"
#include "millrace/net/endpoint.hpp"
#include "millrace/net/reactor.hpp"
#include "millrace/net/socket_options.hpp"

namespace millrace::net {

// A bound, listening descriptor, non-blocking and close-on-exec. Accepted connections inherit most
// of its options. Move-only (not once acceptors refer to it); closes on destruction and unlinks the
// Unix path it has made, unless another socket has taken the path over meanwhile.
class ListenSocket {
 public:
  struct Options {
    // Connections the kernel keeps for us until we accept; it takes min(backlog, somaxconn) + 1.
    int backlog = 1024;
    // SO_REUSEPORT: several sockets on one address, the kernel spreads connections over them. TCP
    // only.
    bool reuse_port = false;
    // Which of those it is.
    std::size_t index = 0;
    // What listens already is not duplicated but ours from now on, its Unix path too: a predecessor
    // of this process has left it to us.
    bool takes_over = false;
    SocketOptions socket;
  };
  // address_in_use, address_not_available, invalid_option, out_of_descriptors, io_error. A Unix
  // path that nobody listens on any more is replaced. What listens already (Endpoint::is_inherited)
  // is duplicated: the descriptor named stays open and its owner's, so that the server can be
  // started again, but becomes non-blocking and close-on-exec too.
  static base::Result<ListenSocket> open(const Endpoint& at, const Options& options);

  ListenSocket() = default;
  ListenSocket(ListenSocket&&) noexcept;
  ListenSocket& operator=(ListenSocket&&) noexcept;
  ~ListenSocket();
  int descriptor() const { return mine_.descriptor; }
  const Endpoint& endpoint() const { return mine_.endpoint; }  // with the port the kernel chose
  // What became of each option, the backlog included, when it began to listen.
  const std::vector<SocketOptionOutcome>& outcomes() const { return mine_.outcomes; }
  // Sets on a connection what the kernel does not hand down. Any thread.
  void prepare(int accepted) const {
    if (mine_.prepares)
      (void)set_socket_options(accepted, mine_.endpoint.family(), mine_.options,
                               SocketMoment::accepted);
  }
  // Gives the descriptor away, and with it the Unix path: nothing closes or unlinks them now.
  int release();
  // We serve on what a predecessor left for us: from now on its Unix path is ours. Until then it is
  // the predecessor's, which serves on if we do not come up.
  void take_path();
  // Another process listens there from now on: the Unix path is its own.
  void leave_path() { mine_.unlink_path.clear(); }

  // Acceptors that take from this socket now. Any thread.
  void join() const { acceptors_.fetch_add(1, std::memory_order_relaxed); }
  void leave() const { acceptors_.fetch_sub(1, std::memory_order_relaxed); }
  // Whoever handed it over may accept from it too, or have others that do.
  bool is_inherited() const { return mine_.is_inherited; }
  bool is_shared() const {
    return mine_.is_inherited || acceptors_.load(std::memory_order_relaxed) > 1;
  }

 private:
  // What moves.
  struct State {
    int descriptor = -1;
    Endpoint endpoint;
    SocketOptions options;
    bool prepares = false;
    bool is_inherited = false;
    std::vector<RefusedOption> refused;
    std::vector<SocketOptionOutcome> outcomes;
    std::string unlink_path;
    std::uint64_t path_inode = 0;  // of the path as we made it
  };
  base::Status bind(const Endpoint& at, const Options& options);
  void own_path(const std::string& path);
  base::Status adopt(const Endpoint& at, const Options& options);
  void set_options(SocketMoment moment, int family);
  base::Status learn(std::optional<int> backlog);
  void close();

  State mine_;
  mutable std::atomic<int> acceptors_{0};
};

// How the loops that share one listening socket are woken.
enum class Wakeup : std::uint8_t {
  epoll,            // every waiting loop wakes for each connection; one gets it
  epoll_exclusive,  // EPOLLEXCLUSIVE: usually one wakes, mostly the same one (the kernel's list is
                    // last in, first out)
  blocking,  // a thread per loop waits in accept(2): the kernel wakes one, first in, first out
};

// Called for each accepted, non-blocking, close-on-exec descriptor with its options set. On the
// acceptor's loop (blocking: still on the loop, by letter or post).
using OnAccept = std::function<void(int descriptor, const Peer& peer)>;

// Sends what the kernel takes at once and closes: for connections that are turned away before they
// have a home. What the client has sent by then is read and dropped, up to 64 kB, because closing
// over unread bytes is a reset, which would take our answer along. Any thread.
void send_and_close(int descriptor, base::ByteView bytes);

// Accepts on one loop from one listening socket, which must outlive it. Home loop only.
class Acceptor {
 public:
  // Stops it, if that has not been done.
  virtual ~Acceptor() = default;
  virtual base::Status start() = 0;
  // Accepts no more; OnAccept may be called for what was taken already, and no more after that.
  // The socket and its queue stay as they are, for other loops and other processes.
  virtual void stop() = 0;
};

// Connections that an acceptor takes per wake-up while it is alone on its socket. One that shares
// its socket takes one at a time: what it leaves wakes another loop, so that a burst spreads.
constexpr int accepts_per_wakeup = 16;
// Connections that a thread of its own has accepted for a loop that is busy. At this many it waits,
// and more stay in the kernel's queue: there the backlog bounds them, they cost no descriptor, and
// loops that are not busy can take them.
constexpr std::size_t most_arrivals = 64;
// After EMFILE, ENFILE, ENOBUFS or ENOMEM nothing is accepted for this long, so that a full
// descriptor table does not spin the loop. The connections wait in the kernel's queue.
constexpr base::Duration accept_pause = base::milliseconds(100);

// Mixed wake-ups on one socket: not blocking with the others, whose socket must be non-blocking.
// The flag belongs to the socket, so processes that share one have to agree as well.
std::unique_ptr<Acceptor> make_acceptor(Reactor& reactor, const ListenSocket& socket, Wakeup wakeup,
                                        OnAccept on_accept);

}  // namespace millrace::net
