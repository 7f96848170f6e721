// A file without a name, for what is too large to be held in memory.
#pragma once
#include <cstdint>
#include <string>

#include "millrace/base/bytes.hpp"
#include "millrace/base/error.hpp"

namespace millrace::net {

// Grows at its end, and is gone with its descriptor, however the process ends. Each call may wait
// for a disk. One owner at a time.
class SpoolFile {
 public:
  SpoolFile() = default;  // not open
  // Takes the descriptor over.
  explicit SpoolFile(int descriptor) : descriptor_(descriptor) {}
  SpoolFile(SpoolFile&& other) noexcept;
  SpoolFile& operator=(SpoolFile&& other) noexcept;
  ~SpoolFile();

  // Errc::disk_full, out_of_descriptors; invalid_option where the folder cannot be used.
  static base::Result<SpoolFile> open(const std::string& folder);
  // All of it or, with an error, a part.
  base::Status append(base::ByteView bytes);

  bool is_open() const { return descriptor_ >= 0; }
  std::uint64_t size() const { return size_; }
  // The descriptor is the caller's; -1 where it is not open.
  int release();

 private:
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace millrace::net
