#include <zstd.h>
#include <zstd_errors.h>

#include <new>

#include "millrace/proto/coding/decoders.hpp"

namespace millrace::coding {
namespace {

// RFC 8878 3: frames, one behind the other; skippable ones stand for nothing.
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
      ZSTD_inBuffer in{input.data(), input.size(), 0};
      ZSTD_outBuffer out{room.data(), room.size(), 0};
      auto const outcome = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(outcome)) return error_of(outcome);
      frame_at_ = outcome == 0 ? 0 : frame_at_ + in.pos;
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
    frame_at_ = 0;
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

  static base::Error error_of(std::size_t outcome) {
    if (ZSTD_getErrorCode(outcome) == ZSTD_error_frameParameter_windowTooLarge)
      return {base::Errc::body_too_large, "RFC 9659 3", "zstd: the window is above 8 MB"};
    return malformed(Coding::zstd, ZSTD_getErrorName(outcome));
  }

  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_{ZSTD_createDCtx()};
  std::size_t frame_at_ = 0;  // bytes taken of the present frame
};

}  // namespace

std::unique_ptr<Decoder> make_zstd_decoder() { return std::make_unique<ZstdDecoder>(); }

}  // namespace millrace::coding
