#include <zstd.h>

#include <new>

#include "millrace/proto/coding/encoders.hpp"

namespace millrace::coding {
namespace {

class ZstdEncoder final : public Encoder {
 public:
  explicit ZstdEncoder(const EncoderOptions& options) : options_(options) {
    if (!context_) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, options.level);
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_windowLog, window_bits);
  }

  void encode(ByteView input, Flush flush, std::string& out) override {
    auto const directive = flush == Flush::end     ? ZSTD_e_end
                           : flush == Flush::piece ? ZSTD_e_flush
                                                   : ZSTD_e_continue;
    auto const room = output_room();
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    bool is_done = false;
    while (!is_done) {
      ZSTD_outBuffer made{room.data(), room.size(), 0};
      auto const rest = ZSTD_compressStream2(context_.get(), &made, &in, directive);
      // It fails only where memory is short: what it was asked for is legal.
      if (ZSTD_isError(rest)) throw std::bad_alloc();
      out.append(ByteView(room.data(), made.pos));
      is_done = in.pos == in.size && (rest == 0 || flush == Flush::none);
    }
  }

  void expect(std::size_t bytes) override { ZSTD_CCtx_setPledgedSrcSize(context_.get(), bytes); }
  bool reset() override {
    return !ZSTD_isError(ZSTD_CCtx_reset(context_.get(), ZSTD_reset_session_only));
  }
  EncoderOptions options() const override { return options_; }

 private:
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context_{ZSTD_createCCtx()};
  EncoderOptions const options_;
};

}  // namespace

std::unique_ptr<Encoder> make_zstd_encoder(const EncoderOptions& options) {
  return std::make_unique<ZstdEncoder>(options);
}

}  // namespace millrace::coding
