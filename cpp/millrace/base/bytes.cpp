#include "millrace/base/bytes.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#include "millrace/base/byte_chain.hpp"

namespace millrace::base {
namespace {

// The thread's free list. Its destructor runs when the thread ends; a block given later goes to the
// heap.
struct FreeBlocks {
  Block* first = nullptr;
  std::size_t count = 0;
  bool gone = false;
  ~FreeBlocks() {
    gone = true;
    while (first) delete std::exchange(first, first->next);
  }
};
thread_local FreeBlocks free_blocks;

}  // namespace

Block* BlockPool::take() {
  auto& pool = free_blocks;
  Block* block = pool.first;
  if (!block) return new Block;
  pool.first = block->next;
  --pool.count;
  block->used = 0;
  return block;
}

void BlockPool::give(Block* block) {
  auto& pool = free_blocks;
  if (pool.gone || pool.count >= kept_blocks) {
    delete block;
    return;
  }
  block->next = pool.first;
  pool.first = block;
  ++pool.count;
}

Bytes Bytes::copy_of(ByteView view) {
  if (view.empty()) return {};
  auto* memory = static_cast<char*>(std::malloc(view.size()));
  if (!memory) throw std::bad_alloc();
  std::memcpy(memory, view.data(), view.size());
  return owned({memory, view.size()}, memory, [](void* p) { std::free(p); });
}

Bytes Bytes::from(std::string text) {
  if (text.empty()) return {};
  auto* owner = new std::string(std::move(text));
  return owned(*owner, owner, [](void* p) { delete static_cast<std::string*>(p); });
}

char* ByteChain::reserve(std::size_t n) {
  if (!tail_ || Block::capacity - tail_->used < n) {
    tail_ = BlockPool::take();
    segments_.push_back(Bytes::owned({tail_->bytes, 0}, tail_,
                                     [](void* p) { BlockPool::give(static_cast<Block*>(p)); }));
  }
  return tail_->bytes + tail_->used;
}

void ByteChain::commit(std::size_t n) {
  tail_->used += static_cast<std::uint32_t>(n);
  auto& view = segments_.back().view_;
  view = {view.data(), view.size() + n};
  size_ += n;
}

void ByteChain::append(ByteView bytes) {
  while (!bytes.empty()) {
    auto const room = tail_ ? Block::capacity - tail_->used : 0;
    auto const n =
        std::min(bytes.size(), bytes.size() <= room || room == 0 ? Block::capacity : room);
    std::memcpy(reserve(n), bytes.data(), n);
    commit(n);
    bytes.remove_prefix(n);
  }
}

void ByteChain::append(Bytes bytes) {
  if (bytes.size() <= copy_below) {
    append(bytes.view());
    return;
  }
  size_ += bytes.size();
  segments_.push_back(std::move(bytes));
  tail_ = nullptr;
}

// The owner of an empty view: whoever asks for bytes finds none, whoever asks for a file finds it.
void ByteChain::append(FileSlice slice) {
  if (slice.length == 0) return;
  size_ += slice.length;
  segments_.push_back(Bytes::owned({}, new FileSlice(std::move(slice)), drop_file));
  tail_ = nullptr;
}

std::size_t ByteChain::size_of(std::size_t i) const {
  auto const* const file = file_at(i);
  return file ? file->length : segments_[i].size();
}

void ByteChain::splice(ByteChain& from) {
  if (from.segments_.empty()) return;
  if (segments_.empty()) {
    std::swap(segments_, from.segments_);
    tail_ = from.tail_;
  } else {
    for (auto& segment : from.segments_) segments_.push_back(std::move(segment));
    from.segments_.clear();
    tail_ = nullptr;
  }
  size_ += std::exchange(from.size_, 0);
  from.tail_ = nullptr;
}

void ByteChain::consume(std::size_t n) {
  size_ -= n;
  if (size_ == 0) {
    clear();
    return;
  }
  std::size_t whole = 0;
  while (n >= size_of(whole)) n -= size_of(whole++);
  if (file_at(whole)) {
    auto& file = *static_cast<FileSlice*>(segments_[whole].owner_);
    file.offset += n;
    file.length -= n;
  } else {
    segments_[whole].remove_prefix(n);
  }
  segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(whole));
}

void ByteChain::clear() {
  segments_.clear();
  tail_ = nullptr;
  size_ = 0;
}

std::string ByteChain::to_string() const {
  std::string all;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    all += at(i);
    if (auto const* file = file_at(i))
      all += "[file " + std::to_string(file->offset) + '+' + std::to_string(file->length) + ']';
  }
  return all;
}

}  // namespace millrace::base
