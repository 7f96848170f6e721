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

}  // namespace

base::Result<ListenSocket> ListenSocket::open(const Endpoint& at, const Options& options) {
  if (at.is_unix() && options.reuse_port)
    return base::Error{
        base::Errc::invalid_option,
        {},
        at.to_string() + ": reuse_port needs a TCP address; Unix paths have one socket"};
  ListenSocket socket;
  if (auto bound = socket.bind(at, options); !bound) return bound;
  return socket;
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
  endpoint_.size = sizeof endpoint_.storage;
  if (::getsockname(descriptor_, endpoint_.address(), &endpoint_.size) < 0)
    return system_error(errno, what);
  return {};
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

void ListenSocket::close() {
  if (descriptor_ < 0) return;
  if (!unlink_path_.empty() && inode_of(unlink_path_) == path_inode_)
    ::unlink(unlink_path_.c_str());
  ::close(std::exchange(descriptor_, -1));
}

}  // namespace millrace::net
