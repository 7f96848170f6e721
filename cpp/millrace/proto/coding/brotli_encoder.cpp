#include <brotli/encode.h>

#include <algorithm>
#include <cstdint>
#include <new>

#include "millrace/proto/coding/encoders.hpp"

namespace millrace::coding {
namespace {

class BrotliEncoder final : public Encoder {
 public:
  explicit BrotliEncoder(const EncoderOptions& options) : options_(options) {
    if (!state_) throw std::bad_alloc();
    set(BROTLI_PARAM_QUALITY, static_cast<std::uint32_t>(options.level));
    set(BROTLI_PARAM_LGWIN, window_bits);
  }

  void encode(ByteView input, Flush flush, std::string& out) override {
    auto const operation = flush == Flush::end     ? BROTLI_OPERATION_FINISH
                           : flush == Flush::piece ? BROTLI_OPERATION_FLUSH
                                                   : BROTLI_OPERATION_PROCESS;
    auto left = input.size();
    auto const* in = reinterpret_cast<const std::uint8_t*>(input.data());
    for (bool has_more = true; has_more || left > 0;) {
      std::size_t no_room = 0;
      // It fails only where memory is short: what it was asked for is legal.
      if (!BrotliEncoderCompressStream(state_.get(), operation, &left, &in, &no_room, nullptr,
                                       nullptr))
        throw std::bad_alloc();
      has_more = BrotliEncoderHasMoreOutput(state_.get());
      std::size_t size = 0;
      auto const* made = BrotliEncoderTakeOutput(state_.get(), &size);
      out.append(ByteView(reinterpret_cast<const char*>(made), size));
    }
  }

  void expect(std::size_t bytes) override {
    constexpr std::size_t most = 1U << 30;
    set(BROTLI_PARAM_SIZE_HINT, static_cast<std::uint32_t>(std::min(bytes, most)));
  }
  bool reset() override { return false; }  // the library has no way
  EncoderOptions options() const override { return options_; }

 private:
  struct Destroy {
    void operator()(BrotliEncoderState* state) const { BrotliEncoderDestroyInstance(state); }
  };
  void set(BrotliEncoderParameter parameter, std::uint32_t value) {
    BrotliEncoderSetParameter(state_.get(), parameter, value);
  }

  std::unique_ptr<BrotliEncoderState, Destroy> state_{
      BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)};
  EncoderOptions const options_;
};

}  // namespace

std::unique_ptr<Encoder> make_brotli_encoder(const EncoderOptions& options) {
  return std::make_unique<BrotliEncoder>(options);
}

}  // namespace millrace::coding
