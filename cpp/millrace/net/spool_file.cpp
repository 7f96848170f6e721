#include "millrace/net/spool_file.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "millrace/net/system_error.hpp"

namespace millrace::net {
namespace {

// File systems without O_TMPFILE (some network and overlay ones) give the file a name for a moment.
int open_and_unlink(const std::string& folder) {
  std::string path = folder + "/millrace-XXXXXX";
  int const descriptor = ::mkostemp(path.data(), O_CLOEXEC);
  if (descriptor >= 0) ::unlink(path.c_str());
  return descriptor;
}

int open_nameless(const std::string& folder) {
  int const descriptor = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
  bool const is_unknown = errno == EOPNOTSUPP || errno == EISDIR;
  return descriptor < 0 && is_unknown ? open_and_unlink(folder) : descriptor;
}

}  // namespace

SpoolFile::SpoolFile(SpoolFile&& other) noexcept
    : descriptor_(other.release()), size_(other.size_) {}

SpoolFile& SpoolFile::operator=(SpoolFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  return *this;
}

SpoolFile::~SpoolFile() {
  if (is_open()) ::close(descriptor_);
}

int SpoolFile::release() { return std::exchange(descriptor_, -1); }

base::Result<SpoolFile> SpoolFile::open(const std::string& folder) {
  int const descriptor = open_nameless(folder);
  if (descriptor >= 0) return SpoolFile(descriptor);
  auto error = system_error(errno, "cannot open a temporary file in " + folder);
  if (error.code == base::Errc::io_error) error.code = base::Errc::invalid_option;
  return error;
}

base::Status SpoolFile::append(base::ByteView bytes) {
  while (!bytes.empty()) {
    auto const count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(errno, "cannot write to a file");
    bytes.remove_prefix(static_cast<std::size_t>(count));
    size_ += static_cast<std::uint64_t>(count);
  }
  return {};
}

}  // namespace millrace::net
