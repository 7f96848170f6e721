#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

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

}  // namespace

base::Result<ListenSocket> ListenSocket::open(const Endpoint& at, const Options& options) {
  if (at.is_unix() && options.reuse_port)
    return base::Error{
        base::Errc::invalid_option,
        {},
        at.to_string() + ": reuse_port needs a TCP address; Unix paths have one socket"};
  ListenSocket socket;
  auto ready = at.is_inherited() ? socket.adopt(at) : socket.bind(at, options);
  if (!ready) return ready;
  return socket;
}

// What cannot be used is refused before anything of it is changed.
base::Status ListenSocket::adopt(const Endpoint& at) {
  if (auto fit = check_listening(at); !fit) return fit;
  auto const what = "cannot take over " + at.to_string();
  descriptor_ = ::fcntl(at.inherited, F_DUPFD_CLOEXEC, 0);
  if (descriptor_ < 0) return system_error(errno, what);
  int const flags = ::fcntl(descriptor_, F_GETFL);
  if (flags < 0 || ::fcntl(descriptor_, F_SETFL, flags | O_NONBLOCK) < 0 ||
      ::fcntl(at.inherited, F_SETFD, FD_CLOEXEC) < 0)
    return system_error(errno, what);
  if (auto learned = learn_endpoint(); !learned) return learned;
  if (!endpoint_.is_unix() && !set_option(descriptor_, IPPROTO_TCP, TCP_NODELAY))
    return system_error(errno, what);
  return {};
}

base::Status ListenSocket::learn_endpoint() {
  endpoint_.size = sizeof endpoint_.storage;
  if (::getsockname(descriptor_, endpoint_.address(), &endpoint_.size) < 0)
    return system_error(errno, "cannot learn where a socket listens");
  return {};
}

base::Status ListenSocket::bind(const Endpoint& at, const Options& options) {
  auto const what = "cannot listen on " + at.to_string();
  if (at.is_unix())
    if (auto cleared = clear_stale_path(at); !cleared) return cleared;
  descriptor_ = ::socket(at.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor_ < 0) return system_error(errno, what);
  if (!at.is_unix()) {
    // So that a restart need not wait for the connections of the run before to leave TIME_WAIT.
    bool ready = set_option(descriptor_, SOL_SOCKET, SO_REUSEADDR) &&
                 set_option(descriptor_, IPPROTO_TCP, TCP_NODELAY);
    if (at.family() == AF_INET6)
      ready = ready && set_option(descriptor_, IPPROTO_IPV6, IPV6_V6ONLY);
    if (options.reuse_port) ready = ready && set_option(descriptor_, SOL_SOCKET, SO_REUSEPORT);
    if (!ready) return system_error(errno, what);
  }
  if (::bind(descriptor_, at.address(), at.size) < 0) return system_error(errno, what);
  if (at.is_unix()) {
    unlink_path_ = at.host();
    path_inode_ = inode_of(unlink_path_).value_or(0);
  }
  if (::listen(descriptor_, options.backlog) < 0) return system_error(errno, what);
  return learn_endpoint();
}

ListenSocket::ListenSocket(ListenSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      endpoint_(other.endpoint_),
      unlink_path_(std::exchange(other.unlink_path_, {})),
      path_inode_(other.path_inode_) {}

ListenSocket& ListenSocket::operator=(ListenSocket&& other) noexcept {
  if (this == &other) return *this;
  close();
  descriptor_ = std::exchange(other.descriptor_, -1);
  endpoint_ = other.endpoint_;
  unlink_path_ = std::exchange(other.unlink_path_, {});
  path_inode_ = other.path_inode_;
  return *this;
}

ListenSocket::~ListenSocket() { close(); }

int ListenSocket::release() {
  unlink_path_.clear();
  return std::exchange(descriptor_, -1);
}

void ListenSocket::close() {
  if (descriptor_ < 0) return;
  if (!unlink_path_.empty() && inode_of(unlink_path_) == path_inode_)
    ::unlink(unlink_path_.c_str());
  ::close(std::exchange(descriptor_, -1));
}

}  // namespace millrace::net
