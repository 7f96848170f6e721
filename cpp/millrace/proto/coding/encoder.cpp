#include "millrace/proto/coding/encoder.hpp"

#include <vector>

#include "millrace/proto/coding/encoders.hpp"

namespace millrace::coding {
namespace {

// The thread's free list: one for all codings and levels, since a server uses few of them.
thread_local std::vector<std::unique_ptr<Encoder>> free_encoders;

std::unique_ptr<Encoder> make(const EncoderOptions& options) {
  switch (options.coding) {
    case Coding::gzip:
    case Coding::deflate:
      return make_zlib_encoder(options);
    case Coding::br:
      return make_brotli_encoder(options);
    case Coding::zstd:
      return make_zstd_encoder(options);
  }
  return nullptr;
}

}  // namespace

LevelRange levels_of(Coding coding) {
  switch (coding) {
    case Coding::gzip:
    case Coding::deflate:
      return {1, 9};
    case Coding::br:
      return {0, 11};
    case Coding::zstd:
      return {1, 9};
  }
  return {1, 1};
}

std::span<char> output_room() {
  thread_local std::vector<char> room(64 * 1024);
  return room;
}

Encoder* EncoderPool::take(const EncoderOptions& options) {
  for (auto& one : free_encoders) {
    if (one->options() != options) continue;
    std::swap(one, free_encoders.back());
    auto* const encoder = free_encoders.back().release();
    free_encoders.pop_back();
    return encoder;
  }
  return make(options).release();
}

void EncoderPool::give(Encoder* encoder) {
  std::unique_ptr<Encoder> owned(encoder);
  if (free_encoders.size() < kept && owned->reset()) free_encoders.push_back(std::move(owned));
}

}  // namespace millrace::coding
