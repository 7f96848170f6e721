// One content coding, applied piece by piece.
#pragma once
#include <memory>
#include <string>

#include "millrace/proto/coding/coding.hpp"

namespace millrace::coding {

enum class Flush : std::uint8_t {
  none,   // more follows: what is better compressed with it waits
  piece,  // whoever has the output so far can decode all of the input so far
  end,    // nothing follows
};

// The levels are the libraries' own scales: 1 to 9 for gzip and deflate, 0 to 11 for br, 1 to 9 for
// zstd (its higher ones take tens of megabytes).
struct LevelRange {
  int least, most;
};
LevelRange levels_of(Coding coding);

struct EncoderOptions {
  Coding coding = Coding::gzip;
  int level = 1;
  bool operator==(const EncoderOptions&) const = default;
};

// Memory: gzip and deflate 260 kB, and 660 kB for what comes whole; br 0.25 to 0.8 MB, above level
// 3 up to 3 MB; zstd 1 MB, 2 MB at level 3, above it up to 13 MB. One owner at a time.
class Encoder {
 public:
  virtual ~Encoder() = default;
  // Takes all of `input`, appends to `out`: perhaps nothing, except at a flush.
  virtual void encode(ByteView input, Flush flush, std::string& out) = 0;
  // Before the first byte: how many there will be, exactly. Small inputs take less memory and time.
  virtual void expect(std::size_t bytes) = 0;
  // As new, its memory kept. False: it cannot be used again.
  virtual bool reset() = 0;
  virtual EncoderOptions options() const = 0;
};

// Encoders that a thread keeps for its next use: making one costs as much as compressing some
// kilobytes.
struct EncoderPool {
  static constexpr std::size_t kept = 8;
  static Encoder* take(const EncoderOptions& options);
  static void give(Encoder* encoder);
};

struct RecycleEncoder {
  void operator()(Encoder* encoder) const { EncoderPool::give(encoder); }
};
using EncoderPtr = std::unique_ptr<Encoder, RecycleEncoder>;

}  // namespace millrace::coding
