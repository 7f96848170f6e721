// The memory that sockets are read into, which a body may keep in place of a copy.
#pragma once
#include <cstddef>
#include <span>

#include "millrace/base/bytes.hpp"

namespace millrace::base {

// Memory for one read each. Any thread, and one pool for all: what a loop takes is given back by
// whoever has handled it. The heap would take such pieces from the system and give them back each
// time, and the system would clear their pages each time.
class PiecePool {
 public:
  // What a loop reads at once. Each read of an upload costs a system call, an acknowledgement and a
  // turn of its reader: with 64 kB those are as much as the bytes themselves.
  static constexpr std::size_t piece_bytes = 256 * 1024;
  // Kept for the next use (4 MB), so that a burst does not stay resident for ever.
  static constexpr std::size_t kept_pieces = 16;

  static char* take();
  static void give(char* piece);
  static std::size_t kept();
};

// Where the calling thread reads to.
class ReadPiece {
 public:
  // Room for the next read; what the last one brought lives until then.
  static std::span<char> room();
  // `bytes` beyond the next read. Where they fill most of room() they take it over, and the next
  // read goes elsewhere: nothing else there may be looked at afterwards. Others are copied.
  static Bytes keep(ByteView bytes);
  // Fewer are copied, so that who keeps n bytes holds a third more memory than that at most.
  static constexpr std::size_t keep_from = PiecePool::piece_bytes / 4 * 3;
};

}  // namespace millrace::base
