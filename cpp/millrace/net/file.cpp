#include "millrace/net/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "millrace/net/system_error.hpp"

namespace millrace::net {

base::SharedDescriptor share_descriptor(int descriptor) {
  // Its other owners are the slices that are made of it.
  return std::shared_ptr<const int>(new int(descriptor), [](const int* number) {
    ::close(*number);
    delete number;
  });
}

Opening open_file(const char* path) {
  int const descriptor = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) return {{}, errno};
  return look_at(descriptor);
}

Opening look_at(int descriptor) {
  Opening opening{.file = {.descriptor = share_descriptor(descriptor)}};
  opening.error = look_again(opening.file);
  if (opening.error != 0) opening.file = {};
  return opening;
}

int look_again(OpenFile& file) {
  struct stat status;
  if (::fstat(*file.descriptor, &status) != 0) return errno;
  if (S_ISDIR(status.st_mode)) return EISDIR;
  if (!S_ISREG(status.st_mode)) return EINVAL;
  constexpr std::int64_t second = 1'000'000'000;
  file.size = static_cast<std::uint64_t>(status.st_size);
  file.inode = status.st_ino;
  file.modified = status.st_mtim.tv_sec * second + status.st_mtim.tv_nsec;
  return 0;
}

base::Result<std::size_t> read_file(const base::FileSlice& slice, std::span<char> into) {
  auto const wanted = std::min<std::uint64_t>(slice.length, into.size());
  std::size_t have = 0;
  while (have < wanted) {
    auto const count = ::pread(*slice.descriptor, into.data() + have, wanted - have,
                               static_cast<off_t>(slice.offset + have));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(errno, "cannot read a file that is being sent");
    if (count == 0) return file_is_shorter(slice.length - have);
    have += static_cast<std::size_t>(count);
  }
  return have;
}

base::Error file_is_shorter(std::uint64_t missing_bytes) {
  return {base::Errc::body_length_mismatch, "RFC 9110 8.6",
          "the file has become " + std::to_string(missing_bytes) +
              " bytes shorter than its answer had promised"};
}

}  // namespace millrace::net
