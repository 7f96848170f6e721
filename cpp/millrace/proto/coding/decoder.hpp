// One content coding, undone piece by piece.
#pragma once
#include <memory>
#include <span>

#include "millrace/base/error.hpp"
#include "millrace/proto/coding/coding.hpp"

namespace millrace::coding {

// How far a call came.
struct Step {
  std::size_t taken = 0;  // bytes of the input
  std::size_t made = 0;   // bytes put into the room
};

// One owner at a time. An error is final.
class Decoder {
 public:
  virtual ~Decoder() = default;
  // Takes input until it is used up or the room is full. Where it stops short of a full room, it
  // needs more input; where it fills the room, there may be more to come of what it has taken.
  // Errc::bad_content_coding where the bytes are not what the coding makes, also where something
  // follows their end; Errc::body_too_large where they ask for more memory than a window may have.
  virtual base::Result<Step> decode(ByteView input, std::span<char> room) = 0;
  // No input follows, and the last call did not fill its room. Errc::bad_content_coding where that
  // is too early. No input at all is an empty body.
  virtual base::Status end() = 0;
  // As new, its memory kept. False: it cannot be used again.
  virtual bool reset() = 0;
  virtual Coding coding() const = 0;
};

// Decoders that a thread keeps for its next use.
struct DecoderPool {
  // Of each coding: about 45 kB for gzip and deflate; zstd up to its window.
  static constexpr std::size_t kept = 8;
  static Decoder* take(Coding coding);
  static void give(Decoder* decoder);
};

struct RecycleDecoder {
  void operator()(Decoder* decoder) const { DecoderPool::give(decoder); }
};
using DecoderPtr = std::unique_ptr<Decoder, RecycleDecoder>;

// As log2 of bytes. RFC 9659 3: 8 MB is what a zstd decoder has to support in HTTP.
inline constexpr int zstd_window_most = 23;

// What a decoder may keep of what it has made: RFC 1951 2, RFC 7932 9.1, RFC 9659 3.
constexpr std::size_t window_bytes(Coding coding) {
  switch (coding) {
    case Coding::gzip:
    case Coding::deflate:
      return 32 * 1024;
    case Coding::br:
      return 16 * 1024 * 1024;
    case Coding::zstd:
      break;
  }
  return std::size_t{1} << zstd_window_most;
}

}  // namespace millrace::coding
