#include "millrace/base/read_piece.hpp"

#include <array>
#include <functional>
#include <mutex>
#include <utility>

#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else  // a compiler without sanitizers
#define ASAN_POISON_MEMORY_REGION(start, size)
#define ASAN_UNPOISON_MEMORY_REGION(start, size)
#endif

namespace millrace::base {
namespace {

// Without a destructor: threads that end after main() still give back.
struct FreePieces {
  std::mutex lock;  // once per piece of 256 kB: never what a loop waits for
  std::array<char*, PiecePool::kept_pieces> pieces{};
  std::size_t count = 0;
};
constinit FreePieces free_pieces;

struct OwnPiece {
  char* memory = nullptr;
  ~OwnPiece() {
    if (memory) PiecePool::give(std::exchange(memory, nullptr));
  }
};
thread_local OwnPiece own_piece;

bool lies_in(ByteView bytes, const char* piece) {
  std::less_equal<const char*> const not_after;
  return piece && not_after(piece, bytes.data()) &&
         not_after(bytes.data() + bytes.size(), piece + PiecePool::piece_bytes);
}

}  // namespace

char* PiecePool::take() {
  {
    std::lock_guard const guard(free_pieces.lock);
    if (free_pieces.count > 0) {
      auto* const piece = free_pieces.pieces[--free_pieces.count];
      ASAN_UNPOISON_MEMORY_REGION(piece, piece_bytes);
      return piece;
    }
  }
  return new char[piece_bytes];
}

void PiecePool::give(char* piece) {
  {
    std::lock_guard const guard(free_pieces.lock);
    if (free_pieces.count < kept_pieces) {
      ASAN_POISON_MEMORY_REGION(piece, piece_bytes);  // who looks at it now is found out
      free_pieces.pieces[free_pieces.count++] = piece;
      return;
    }
  }
  delete[] piece;
}

std::size_t PiecePool::kept() {
  std::lock_guard const guard(free_pieces.lock);
  return free_pieces.count;
}

std::span<char> ReadPiece::room() {
  auto& memory = own_piece.memory;
  if (!memory) memory = PiecePool::take();
  return {memory, PiecePool::piece_bytes};
}

Bytes ReadPiece::keep(ByteView bytes) {
  auto& memory = own_piece.memory;
  if (bytes.size() < keep_from || !lies_in(bytes, memory)) return Bytes::copy_of(bytes);
  return Bytes::owned(bytes, std::exchange(memory, nullptr),
                      [](void* piece) { PiecePool::give(static_cast<char*>(piece)); });
}

}  // namespace millrace::base
