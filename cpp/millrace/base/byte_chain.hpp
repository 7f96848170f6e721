// Bytes on their way out: a list of segments, small ones copied together so that one write carries
// them. A segment may be a slice of a file, whose bytes are not here.
#pragma once
#include <cstring>
#include <vector>

#include "millrace/base/bytes.hpp"
#include "millrace/base/file_slice.hpp"

namespace millrace::base {

// One owner at a time. The list's storage is kept between messages.
class ByteChain {
 public:
  // A piece up to this size is copied behind its neighbour: cheaper than a second segment in the
  // write.
  static constexpr std::size_t copy_below = 2048;

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  std::size_t segments() const { return segments_.size(); }
  ByteView at(std::size_t i) const { return segments_[i].view(); }  // empty for a file's
  // Null where the segment's bytes are at hand. Lives until the chain changes.
  const FileSlice* file_at(std::size_t i) const {
    auto const& segment = segments_[i];
    return segment.release_ == drop_file ? static_cast<const FileSlice*>(segment.owner_) : nullptr;
  }

  // Room for `n` contiguous bytes (n <= Block::capacity) at the tail; commit() says how many were
  // used.
  char* reserve(std::size_t n);
  void commit(std::size_t n);

  void append(ByteView bytes);  // copies, whatever the size
  void append(Bytes bytes);     // copies small ones, keeps large ones
  void append(FileSlice slice);
  void splice(ByteChain& from);
  void consume(std::size_t n);
  void clear();
  std::string to_string() const;  // for tests; a file's segment is "[file OFFSET+LENGTH]"

 private:
  static void drop_file(void* slice) { delete static_cast<FileSlice*>(slice); }
  std::size_t size_of(std::size_t i) const;
  std::vector<Bytes> segments_;
  Block* tail_ = nullptr;  // the block behind the last segment, while it may still grow
  std::size_t size_ = 0;
};

}  // namespace millrace::base
