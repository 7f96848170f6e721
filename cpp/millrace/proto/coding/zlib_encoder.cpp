#include <libdeflate.h>
#include <zlib.h>

#include <new>
#include <utility>

#include "millrace/proto/coding/encoders.hpp"

namespace millrace::coding {
namespace {

// What comes whole is libdeflate's, which knows nothing of streams and is the faster for it; the
// rest is zlib's. Each is made when it is first needed.
class ZlibEncoder final : public Encoder {
 public:
  explicit ZlibEncoder(const EncoderOptions& options) : options_(options) {}
  ZlibEncoder(const ZlibEncoder&) = delete;
  ZlibEncoder& operator=(const ZlibEncoder&) = delete;
  ~ZlibEncoder() override {
    if (has_stream_) deflateEnd(&stream_);
  }

  void encode(ByteView input, Flush flush, std::string& out) override {
    if (flush == Flush::end && !has_begun_ && input.size() <= whole_most) {
      encode_whole(input, out);
      return;
    }
    if (!std::exchange(has_begun_, true)) begin();
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
  bool reset() override {
    has_begun_ = false;
    return true;
  }
  EncoderOptions options() const override { return options_; }

 private:
  // Output of a whole is made in one piece, of up to the size of the input.
  static constexpr std::size_t whole_most = 1024 * 1024;
  struct Free {
    void operator()(libdeflate_compressor* one) const { libdeflate_free_compressor(one); }
  };

  void encode_whole(ByteView input, std::string& out) {
    if (!whole_) whole_.reset(libdeflate_alloc_compressor(options_.level));
    if (!whole_) throw std::bad_alloc();
    bool const is_gzip = options_.coding == Coding::gzip;
    auto const bound = is_gzip ? libdeflate_gzip_compress_bound : libdeflate_zlib_compress_bound;
    auto const compress = is_gzip ? libdeflate_gzip_compress : libdeflate_zlib_compress;
    auto const at = out.size(), room = bound(whole_.get(), input.size());
    out.resize(at + room);
    out.resize(at + compress(whole_.get(), input.data(), input.size(), out.data() + at, room));
  }

  void begin() {
    constexpr int window = 15, as_gzip = 16, usual_memory = 8;
    int const form = options_.coding == Coding::gzip ? window + as_gzip : window;
    auto const made = has_stream_ ? deflateReset(&stream_)
                                  : deflateInit2(&stream_, options_.level, Z_DEFLATED, form,
                                                 usual_memory, Z_DEFAULT_STRATEGY);
    if (made != Z_OK) throw std::bad_alloc();
    has_stream_ = true;
  }

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

  std::unique_ptr<libdeflate_compressor, Free> whole_;
  z_stream stream_{};
  EncoderOptions const options_;
  bool has_stream_ = false, has_begun_ = false;
};

}  // namespace

std::unique_ptr<Encoder> make_zlib_encoder(const EncoderOptions& options) {
  return std::make_unique<ZlibEncoder>(options);
}

}  // namespace millrace::coding
