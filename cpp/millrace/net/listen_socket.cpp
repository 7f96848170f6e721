#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "millrace/net/accept_queue.hpp"
#include "millrace/net/listener.hpp"
#include "millrace/net/system_error.hpp"

namespace millrace::net {
namespace {

bool set_option(int descriptor, int level, int option) {
  int const on = 1;
  return ::setsockopt(descriptor, level, option, &on, sizeof on) == 0;
}

std::optional<std::uint64_t> inode_of(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) < 0) return std::nullopt;
  return found.st_ino;
}

// A socket file outlives its listener. One that refuses a connection has lost its own, and is
// removed.
base::Status clear_stale_path(const Endpoint& at) {
  if (!at.is_path()) return {};
  auto const path = at.host();
  struct stat found {};
  if (::lstat(path.c_str(), &found) < 0) return {};  // bind will say what else is wrong
  if (!S_ISSOCK(found.st_mode))
    return base::failure(base::Errc::address_in_use, {},
                         at.to_string() + ": a file that is not a socket has this name");
  int const probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) return system_error(errno, "cannot try " + at.to_string());
  int const failed = ::connect(probe, at.address(), at.size) < 0 ? errno : 0;
  ::close(probe);
  if (failed != ECONNREFUSED)
    return base::failure(base::Errc::address_in_use, {},
                         at.to_string() + ": another process listens here");
  ::unlink(path.c_str());
  return {};
}

std::optional<int> option_of(int descriptor, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  if (::getsockopt(descriptor, SOL_SOCKET, option, &value, &size) < 0) return std::nullopt;
  return value;
}

base::Status check_listening(const Endpoint& at) {
  auto const refused = [&](const char* why) {
    return base::failure(base::Errc::invalid_option, {}, at.to_string() + ": " + why);
  };
  if (::fcntl(at.inherited, F_GETFD) < 0)
    return refused("this process has no such descriptor; its parent has to leave it inheritable");
  auto const type = option_of(at.inherited, SO_TYPE);
  if (!type) return refused("this descriptor is no socket");
  auto const family = option_of(at.inherited, SO_DOMAIN).value_or(AF_UNSPEC);
  if (*type != SOCK_STREAM || (family != AF_INET && family != AF_INET6 && family != AF_UNIX))
    return refused("this socket is neither TCP nor a Unix stream");
  if (option_of(at.inherited, SO_ACCEPTCONN).value_or(0) == 0)
    return refused("this socket does not listen: call listen() before it is handed over");
  return {};
}

SocketOptionOutcome backlog_outcome(std::optional<int> asked,
                                    const std::optional<AcceptQueue>& queue) {
  using enum SocketOptionOutcome::Verdict;
  SocketOptionOutcome outcome{
      .name = "backlog", .asked = {}, .effective = {}, .verdict = kernel_default, .why = {}};
  if (asked) outcome.asked = std::int64_t{*asked};
  if (queue) outcome.effective = std::int64_t{queue->limit};
  if (!asked) return outcome;
  bool const is_as_asked = !queue || outcome.asked == outcome.effective;
  outcome.verdict = is_as_asked ? taken : changed;
  if (!is_as_asked) outcome.why = "net.core.somaxconn is the most";
  return outcome;
}

}  // namespace

base::Result<ListenSocket> ListenSocket::open(const Endpoint& at, const Options& options) {
  auto const refused = [&](const char* why) {
    return base::Error{base::Errc::invalid_option, {}, at.to_string() + ": " + why};
  };
  if (at.is_unix() && options.reuse_port)
    return refused("reuse_port needs a TCP address; Unix paths have one socket");
  if (options.reuse_port && options.socket.reuse_port == 0)
    return refused("a socket per loop needs reuse_port; leave it out, or use another accept");
  ListenSocket socket;
  auto ready = at.is_inherited() ? socket.adopt(at, options) : socket.bind(at, options);
  if (!ready) return ready;
  return socket;
}

// What cannot be used is refused before anything of it is changed.
base::Status ListenSocket::adopt(const Endpoint& at, const Options& options) {
  if (auto fit = check_listening(at); !fit) return fit;
  auto const what = "cannot take over " + at.to_string();
  mine_.is_inherited = !options.takes_over;
  mine_.descriptor = options.takes_over ? at.inherited : ::fcntl(at.inherited, F_DUPFD_CLOEXEC, 0);
  if (mine_.descriptor < 0) return system_error(errno, what);
  int const flags = ::fcntl(mine_.descriptor, F_GETFL);
  if (flags < 0 || ::fcntl(mine_.descriptor, F_SETFL, flags | O_NONBLOCK) < 0 ||
      ::fcntl(at.inherited, F_SETFD, FD_CLOEXEC) < 0)
    return system_error(errno, what);
  mine_.options = options_of_socket(options.socket, options.index);
  // Whoever bound it has decided; our default is not a wish to report about.
  if (mine_.options.v6_only == SocketOptions{}.v6_only) mine_.options.v6_only.reset();
  set_options(SocketMoment::before_listen, *option_of(mine_.descriptor, SO_DOMAIN));
  if (!options.takes_over) return learn(std::nullopt);
  if (::listen(mine_.descriptor, options.backlog) < 0) return system_error(errno, what);
  return learn(options.backlog);
}

base::Status ListenSocket::bind(const Endpoint& at, const Options& options) {
  auto const what = "cannot listen on " + at.to_string();
  if (auto cleared = clear_stale_path(at); !cleared) return cleared;
  mine_.options = options_of_socket(options.socket, options.index);
  if (options.reuse_port) mine_.options.reuse_port = 1;
  mine_.descriptor = ::socket(at.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (mine_.descriptor < 0) return system_error(errno, what);
  // So that a restart need not wait for the connections of the run before to leave TIME_WAIT.
  if (!at.is_unix() && !set_option(mine_.descriptor, SOL_SOCKET, SO_REUSEADDR))
    return system_error(errno, what);
  set_options(SocketMoment::before_bind, at.family());
  if (::bind(mine_.descriptor, at.address(), at.size) < 0) return system_error(errno, what);
  if (at.is_path()) own_path(at.host());
  // bind(2) has given it what the umask left of it.
  auto const mode = mine_.options.unix_mode;
  if (at.is_path() && mode && ::chmod(at.host().c_str(), static_cast<mode_t>(*mode)) < 0)
    mine_.refused.push_back({"unix_mode", errno});
  set_options(SocketMoment::before_listen, at.family());
  if (::listen(mine_.descriptor, options.backlog) < 0) return system_error(errno, what);
  return learn(options.backlog);
}

void ListenSocket::take_path() {
  if (mine_.is_inherited || !mine_.unlink_path.empty()) return;
  if (mine_.endpoint.is_path()) own_path(mine_.endpoint.host());
}

void ListenSocket::own_path(const std::string& path) {
  mine_.unlink_path = path;
  mine_.path_inode = inode_of(path).value_or(0);
}

void ListenSocket::set_options(SocketMoment moment, int family) {
  auto refused = set_socket_options(mine_.descriptor, family, mine_.options, moment);
  mine_.refused.insert(mine_.refused.end(), refused.begin(), refused.end());
}

base::Status ListenSocket::learn(std::optional<int> backlog) {
  auto& endpoint = mine_.endpoint;
  endpoint.size = sizeof endpoint.storage;
  if (::getsockname(mine_.descriptor, endpoint.address(), &endpoint.size) < 0)
    return system_error(errno, "cannot learn where a socket listens");
  auto const family = endpoint.family();
  mine_.prepares = has_socket_options(mine_.options, SocketMoment::accepted);
  mine_.outcomes = read_socket_options(mine_.descriptor, family, mine_.options, mine_.refused);
  mine_.outcomes.push_back(backlog_outcome(backlog, accept_queue(mine_.descriptor, family)));
  return {};
}

ListenSocket::ListenSocket(ListenSocket&& other) noexcept
    : mine_(std::exchange(other.mine_, State{})) {}

ListenSocket& ListenSocket::operator=(ListenSocket&& other) noexcept {
  if (this == &other) return *this;
  close();
  mine_ = std::exchange(other.mine_, State{});
  return *this;
}

ListenSocket::~ListenSocket() { close(); }

int ListenSocket::release() {
  mine_.unlink_path.clear();
  return std::exchange(mine_.descriptor, -1);
}

void ListenSocket::close() {
  if (mine_.descriptor < 0) return;
  auto const& path = mine_.unlink_path;
  if (!path.empty() && inode_of(path) == mine_.path_inode) ::unlink(path.c_str());
  ::close(std::exchange(mine_.descriptor, -1));
}

}  // namespace millrace::net
