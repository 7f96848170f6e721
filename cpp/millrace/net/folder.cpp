#include "millrace/net/folder.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "millrace/net/system_error.hpp"

namespace millrace::net {
namespace {

// Never waits for a pipe's writer, and makes no terminal ours.
constexpr int read_flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
constexpr int pass_flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

int open_beneath(int folder, const char* path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof how));
}

int fail(int number) {
  errno = number;
  return -1;
}

}  // namespace

base::Result<Folder> Folder::open(const std::string& path) {
  auto folder = open(path, Way::by_kernel);
  if (!folder) return folder;
  int const probe = open_beneath(*folder->descriptor_, ".", O_PATH | O_CLOEXEC);
  if (probe >= 0) {
    ::close(probe);
  } else {
    folder->way_ = Way::step_by_step;
  }
  return folder;
}

base::Result<Folder> Folder::open(const std::string& path, Way way) {
  int const descriptor = ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    auto error = system_error(errno, "cannot serve the files in '" + path + "'");
    error.code = base::Errc::invalid_option;
    return error;
  }
  Folder folder;
  folder.descriptor_ = share_descriptor(descriptor);
  folder.way_ = way;
  return folder;
}

Opening Folder::open_file(const std::string& path) const {
  if (!descriptor_) return {{}, ENOENT};
  int const descriptor = way_ == Way::by_kernel ? open_by_kernel(path) : open_step_by_step(path);
  if (descriptor < 0) return {{}, errno};
  return look_at(descriptor);
}

int Folder::open_by_kernel(const std::string& path) const {
  // EAGAIN: something was renamed meanwhile, and the kernel could not be sure.
  constexpr int tries = 4;
  int descriptor = -1;
  for (int i = 0; i < tries; ++i) {
    descriptor = open_beneath(*descriptor_, path.c_str(), read_flags);
    if (descriptor >= 0 || errno != EAGAIN) break;
  }
  return descriptor;
}

int Folder::open_step_by_step(const std::string& path) const {
  base::SharedDescriptor folder = descriptor_;
  for (std::size_t at = 0;;) {
    auto const end = std::min(path.find('/', at), path.size());
    auto const part = path.substr(at, end - at);
    if (part == ".." || (part.empty() && at == 0)) return fail(path.empty() ? ENOENT : EXDEV);
    if (end == path.size()) return ::openat(*folder, part.c_str(), read_flags | O_NOFOLLOW);
    int const next = ::openat(*folder, part.c_str(), pass_flags);
    if (next < 0) return -1;
    folder = share_descriptor(next);
    at = end + 1;
  }
}

}  // namespace millrace::net
