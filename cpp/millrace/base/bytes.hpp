// Bytes with an owner, and the pooled blocks most of them live in.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::base {

// Somebody else's bytes, for as long as the function that took them says.
using ByteView = std::string_view;

// A fixed-size piece of memory that is recycled. Taken from and given to the calling thread's pool.
struct Block {
  static constexpr std::size_t capacity = 4096 - 16;
  std::uint32_t used = 0;
  Block* next = nullptr;
  char bytes[capacity];
};

// Blocks a thread keeps for its next use. At most `kept_blocks` of them (4 MB), so that a burst
// does not stay resident for ever.
class BlockPool {
 public:
  static constexpr std::size_t kept_blocks = 1024;
  static Block* take();
  static void give(Block* block);
};

// A run of bytes and what keeps it alive: static text, a block, the heap, or a foreign object.
// Move-only.
class Bytes {
 public:
  using Release = void (*)(void* owner);

  Bytes() = default;
  // `view` must outlive the program or, where the receiver promises to copy, the call.
  static Bytes borrowed(ByteView view) { return Bytes(view, nullptr, nullptr); }
  // `release(owner)` is called once, on the thread that drops the last piece.
  static Bytes owned(ByteView view, void* owner, Release release) {
    return Bytes(view, owner, release);
  }
  static Bytes copy_of(ByteView view);
  static Bytes from(std::string text);

  Bytes(Bytes&& o) noexcept
      : view_(std::exchange(o.view_, {})),
        owner_(o.owner_),
        release_(std::exchange(o.release_, nullptr)) {}
  Bytes& operator=(Bytes&& o) noexcept {
    if (this != &o) {
      drop();
      view_ = std::exchange(o.view_, {});
      owner_ = o.owner_;
      release_ = std::exchange(o.release_, nullptr);
    }
    return *this;
  }
  ~Bytes() { drop(); }

  ByteView view() const { return view_; }
  std::size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }
  void remove_prefix(std::size_t n) { view_.remove_prefix(n); }

 private:
  friend class ByteChain;
  Bytes(ByteView view, void* owner, Release release)
      : view_(view), owner_(owner), release_(release) {}
  void drop() {
    if (release_) std::exchange(release_, nullptr)(owner_);
  }
  ByteView view_{};
  void* owner_ = nullptr;
  Release release_ = nullptr;
};

}  // namespace millrace::base
