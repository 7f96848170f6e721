#include <brotli/decode.h>

#include <new>

#include "millrace/proto/coding/decoders.hpp"

namespace millrace::coding {
namespace {

// RFC 7932. Windows above its 16 MB ("large window") are off unless asked for.
class BrotliDecoder final : public Decoder {
 public:
  BrotliDecoder() {
    if (!state_) throw std::bad_alloc();
  }

  base::Result<Step> decode(ByteView input, std::span<char> room) override {
    if (is_at_end_) {
      if (input.empty()) return Step{};
      return malformed(Coding::br, goes_on);
    }
    auto left = input.size(), free = room.size();
    auto const* in = reinterpret_cast<const std::uint8_t*>(input.data());
    auto* out = reinterpret_cast<std::uint8_t*>(room.data());
    has_begun_ = has_begun_ || left > 0;
    auto const outcome =
        BrotliDecoderDecompressStream(state_.get(), &left, &in, &free, &out, nullptr);
    if (outcome == BROTLI_DECODER_RESULT_ERROR)
      return malformed(Coding::br,
                       BrotliDecoderErrorString(BrotliDecoderGetErrorCode(state_.get())));
    is_at_end_ = outcome == BROTLI_DECODER_RESULT_SUCCESS;
    if (is_at_end_ && left > 0) return malformed(Coding::br, goes_on);
    return Step{input.size() - left, room.size() - free};
  }

  base::Status end() override {
    if (!has_begun_ || is_at_end_) return {};
    return malformed(Coding::br, is_cut);
  }

  bool reset() override { return false; }  // the library has no way
  Coding coding() const override { return Coding::br; }

 private:
  struct Destroy {
    void operator()(BrotliDecoderState* state) const { BrotliDecoderDestroyInstance(state); }
  };
  std::unique_ptr<BrotliDecoderState, Destroy> state_{
      BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)};
  bool has_begun_ = false, is_at_end_ = false;
};

}  // namespace

std::unique_ptr<Decoder> make_brotli_decoder() { return std::make_unique<BrotliDecoder>(); }

}  // namespace millrace::coding
