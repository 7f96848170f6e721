// Regular files: opened, looked at, read. Each of these calls may wait for a disk.
#pragma once
#include <cstdint>
#include <span>

#include "millrace/base/byte_chain.hpp"
#include "millrace/base/error.hpp"

namespace millrace::net {

// A regular file as it was when it was opened, or looked at again.
struct OpenFile {
  base::SharedDescriptor descriptor;
  std::uint64_t size = 0;
  std::uint64_t inode = 0;
  std::int64_t modified = 0;  // nanoseconds since 1970

  base::FileSlice slice(std::uint64_t offset, std::uint64_t length) const {
    return {descriptor, offset, length};
  }
};

// A file, or the system's number for why there is none: EISDIR for a directory, EINVAL for a pipe,
// a device and what else is no regular file.
struct Opening {
  OpenFile file;
  int error = 0;
};

// Takes the descriptor over.
base::SharedDescriptor share_descriptor(int descriptor);

// Follows symbolic links: for paths that the program itself names. Never waits for a writer of a
// pipe.
Opening open_file(const char* path);
// Of a descriptor that it takes over.
Opening look_at(int descriptor);
// Takes over how the file is now; the system's number where it cannot be looked at.
int look_again(OpenFile& file);

// Reads the slice's first bytes; fewer than asked for only at its end. Errc::body_length_mismatch
// where the file ends before the slice does.
base::Result<std::size_t> read_file(const base::FileSlice& slice, std::span<char> into);

// The error for a file that ends so many bytes before its slice.
base::Error file_is_shorter(std::uint64_t missing_bytes);

}  // namespace millrace::net
