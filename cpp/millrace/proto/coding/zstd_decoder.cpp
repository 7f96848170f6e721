#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <new>

#include "millrace/proto/coding/decoders.hpp"

namespace millrace::coding {
namespace {

// RFC 8878 3: frames, one behind the other; skippable ones stand for nothing.
//
// The library decodes a frame that it sees whole by another path, which refuses what the one for
// streams takes (a compressed block of no bytes). What a body stands for must not depend on where
// it is cut, so a frame's first byte is offered alone, and every frame is a stream.
class ZstdDecoder final : public Decoder {
 public:
  ZstdDecoder() {
    if (!context_) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, zstd_window_most);
  }

  base::Result<Step> decode(ByteView input, std::span<char> room) override {
    Step all;
    do {
      if (!begins_well(input)) return malformed(Coding::zstd, "no frame begins so");
      auto const offered = frame_at_ == 0 ? input.substr(0, 1) : input;
      ZSTD_inBuffer in{offered.data(), offered.size(), 0};
      ZSTD_outBuffer out{room.data(), room.size(), 0};
      auto const outcome = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(outcome)) return error_of(outcome);
      follow_frame(input.substr(0, in.pos), out.pos);
      if (outcome == 0) {
        if (!is_as_long_as_it_says()) return malformed(Coding::zstd, "another size than it says");
        begin_frame();
      }
      all.taken += in.pos;
      all.made += out.pos;
      input.remove_prefix(in.pos);
      room = room.subspan(out.pos);
    } while (!input.empty() && !room.empty());
    return all;
  }

  base::Status end() override {
    if (frame_at_ == 0) return {};
    return malformed(Coding::zstd, is_cut);
  }

  bool reset() override {
    begin_frame();
    return !ZSTD_isError(ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only));
  }

  Coding coding() const override { return Coding::zstd; }

 private:
  // The library would also take the formats that came before the standard, which know no limit of
  // the window. Their frames begin with other bytes.
  bool begins_well(ByteView input) const {
    if (frame_at_ > 0 || input.empty()) return true;
    auto const first = static_cast<unsigned char>(input[0]);
    return first == 0x28 || (first & 0xf0) == 0x50;  // a frame, a skippable one
  }

  void begin_frame() { frame_at_ = frame_made_ = 0; }
  void follow_frame(ByteView taken, std::size_t made) {
    if (frame_at_ < header_.size())
      taken.copy(header_.data() + frame_at_, header_.size() - frame_at_);
    frame_at_ += taken.size();
    frame_made_ += made;
  }

  // RFC 8878 3.1.1.1.4. The library looks only where the last block is not empty.
  bool is_as_long_as_it_says() const {
    auto const size = ZSTD_getFrameContentSize(header_.data(), std::min(frame_at_, header_.size()));
    return size == ZSTD_CONTENTSIZE_UNKNOWN || size == frame_made_;
  }

  static base::Error error_of(std::size_t outcome) {
    if (ZSTD_getErrorCode(outcome) == ZSTD_error_frameParameter_windowTooLarge)
      return {base::Errc::body_too_large, "RFC 9659 3", "zstd: the window is above 8 MB"};
    return malformed(Coding::zstd, ZSTD_getErrorName(outcome));
  }

  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_{ZSTD_createDCtx()};
  // Of the present frame.
  std::array<char, 18> header_{};  // its first bytes; no header is longer (RFC 8878 3.1.1.1)
  std::size_t frame_at_ = 0, frame_made_ = 0;  // bytes taken, and what they stand for
};

}  // namespace

std::unique_ptr<Decoder> make_zstd_decoder() { return std::make_unique<ZstdDecoder>(); }

}  // namespace millrace::coding
