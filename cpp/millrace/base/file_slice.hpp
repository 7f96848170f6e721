// A part of an open file, on its way out.
#pragma once
#include <cstdint>
#include <memory>

namespace millrace::base {

// Closes the descriptor with the last of those that share it: the slices of one answer, and the
// handler that may send the same file again.
using SharedDescriptor = std::shared_ptr<const int>;  // other owners: as said above

struct FileSlice {
  SharedDescriptor descriptor;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // bytes promised; the file may have become shorter since
};

}  // namespace millrace::base
