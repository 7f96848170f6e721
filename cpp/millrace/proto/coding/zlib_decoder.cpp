#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>

#include "millrace/proto/coding/decoders.hpp"

namespace millrace::coding {
namespace {

// What zlib calls the forms of a stream, added to the log2 of the window.
constexpr int window = 15, gzip_form = window + 16, zlib_form = window, raw_form = -window;

// gzip is one or more members (RFC 1952 2.2). deflate is the zlib format (RFC 9110 8.4.1.2), but
// some send it without its two bytes of header and its checksum, and everybody takes both.
class ZlibDecoder final : public Decoder {
 public:
  explicit ZlibDecoder(Coding coding) : coding_(coding) {
    if (inflateInit2(&stream_, gzip_form) != Z_OK) throw std::bad_alloc();
  }
  ZlibDecoder(const ZlibDecoder&) = delete;
  ZlibDecoder& operator=(const ZlibDecoder&) = delete;
  ~ZlibDecoder() override { inflateEnd(&stream_); }

  base::Result<Step> decode(ByteView input, std::span<char> room) override {
    Step all;
    if (coding_ == Coding::deflate && header_size_ < header_.size()) {
      all.taken = take_header(input);
      if (header_size_ < header_.size()) return all;
      inflateReset2(&stream_, is_zlib_header() ? zlib_form : raw_form);
      input.remove_prefix(all.taken);
    }
    // Held back until the form was known; no room for them yet is as if they had not come.
    while (header_at_ < header_size_) {
      auto step = inflate_some({header_.data() + header_at_, header_size_ - header_at_}, room);
      if (!step) return step;
      header_at_ += step->taken;
      all.made += step->made;
      room = room.subspan(step->made);
      if (step->taken == 0) return all;
    }
    auto step = inflate_some(input, room);
    if (!step) return step;
    all.taken += step->taken;
    all.made += step->made;
    return all;
  }

  base::Status end() override {
    bool const is_empty = !has_begun_ && header_size_ == 0;
    if (is_empty || is_at_end_) return {};
    return malformed(coding_, is_cut);
  }

  bool reset() override {
    has_begun_ = is_at_end_ = false;
    header_size_ = header_at_ = 0;
    return inflateReset2(&stream_, gzip_form) == Z_OK;
  }

  Coding coding() const override { return coding_; }

 private:
  std::size_t take_header(ByteView input) {
    auto const n = std::min(input.size(), header_.size() - header_size_);
    std::copy_n(input.data(), n, header_.data() + header_size_);
    header_size_ += n;
    return n;
  }

  // RFC 1950 2.2: deflate with a window it can have, and a check of the two bytes.
  bool is_zlib_header() const {
    auto const method = static_cast<unsigned char>(header_[0]);
    auto const flags = static_cast<unsigned char>(header_[1]);
    return (method & 15) == 8 && method >> 4 <= 7 && (method * 256 + flags) % 31 == 0;
  }

  base::Result<Step> inflate_some(ByteView input, std::span<char> room) {
    constexpr std::size_t most = 1U << 30;  // zlib counts in 32 bits
    Step all;
    for (;;) {
      if (is_at_end_) {
        if (input.empty()) return all;
        if (coding_ != Coding::gzip) return malformed(coding_, goes_on);
        inflateReset(&stream_);
        is_at_end_ = false;
      }
      auto const given = std::min(input.size(), most), free = std::min(room.size(), most);
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
      stream_.avail_in = static_cast<uInt>(given);
      stream_.next_out = reinterpret_cast<Bytef*>(room.data());
      stream_.avail_out = static_cast<uInt>(free);
      has_begun_ = has_begun_ || given > 0;
      auto const outcome = inflate(&stream_, Z_NO_FLUSH);
      Step const step{given - stream_.avail_in, free - stream_.avail_out};
      all.taken += step.taken;
      all.made += step.made;
      input.remove_prefix(step.taken);
      room = room.subspan(step.made);
      if (outcome == Z_STREAM_END) {
        is_at_end_ = true;
      } else if (outcome != Z_OK && outcome != Z_BUF_ERROR) {
        return malformed(coding_, stream_.msg ? stream_.msg : "it needs a dictionary");
      } else if (input.empty() || room.empty()) {
        return all;
      }
    }
  }

  z_stream stream_{};
  std::array<char, 2> header_;
  std::size_t header_size_ = 0, header_at_ = 0;  // had, and passed on
  Coding const coding_;
  bool has_begun_ = false, is_at_end_ = false;
};

}  // namespace

std::unique_ptr<Decoder> make_zlib_decoder(Coding coding) {
  return std::make_unique<ZlibDecoder>(coding);
}

}  // namespace millrace::coding
