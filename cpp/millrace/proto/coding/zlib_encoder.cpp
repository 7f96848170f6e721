#include <zlib.h>

#include <new>

#include "millrace/proto/coding/encoders.hpp"

namespace millrace::coding {
namespace {

class ZlibEncoder final : public Encoder {
 public:
  explicit ZlibEncoder(const EncoderOptions& options) : options_(options) {
    constexpr int window = 15, as_gzip = 16, usual_memory = 8;
    int const form = options.coding == Coding::gzip ? window + as_gzip : window;
    auto const made =
        deflateInit2(&stream_, options.level, Z_DEFLATED, form, usual_memory, Z_DEFAULT_STRATEGY);
    if (made != Z_OK) throw std::bad_alloc();
  }
  ZlibEncoder(const ZlibEncoder&) = delete;
  ZlibEncoder& operator=(const ZlibEncoder&) = delete;
  ~ZlibEncoder() override { deflateEnd(&stream_); }

  void encode(ByteView input, Flush flush, std::string& out) override {
    constexpr std::size_t most = 1U << 30;  // zlib counts in 32 bits
    for (; input.size() > most; input.remove_prefix(most))
      run(input.substr(0, most), Z_NO_FLUSH, out);
    run(input,
        flush == Flush::end     ? Z_FINISH
        : flush == Flush::piece ? Z_SYNC_FLUSH
                                : Z_NO_FLUSH,
        out);
  }

  void expect(std::size_t) override {}
  bool reset() override { return deflateReset(&stream_) == Z_OK; }
  EncoderOptions options() const override { return options_; }

 private:
  void run(ByteView input, int flush, std::string& out) {
    auto const room = output_room();
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(input.size());
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(room.data());
      stream_.avail_out = static_cast<uInt>(room.size());
      deflate(&stream_, flush);
      out.append(ByteView(room.data(), room.size() - stream_.avail_out));
    } while (stream_.avail_out == 0);
  }

  z_stream stream_{};
  EncoderOptions const options_;
};

}  // namespace

std::unique_ptr<Encoder> make_zlib_encoder(const EncoderOptions& options) {
  return std::make_unique<ZlibEncoder>(options);
}

}  // namespace millrace::coding
