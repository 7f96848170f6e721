// What makes the encoders, and what they share.
#pragma once
#include <memory>
#include <span>

#include "millrace/proto/coding/encoder.hpp"

namespace millrace::coding {

std::unique_ptr<Encoder> make_zlib_encoder(const EncoderOptions& options);  // gzip or deflate
std::unique_ptr<Encoder> make_brotli_encoder(const EncoderOptions& options);
std::unique_ptr<Encoder> make_zstd_encoder(const EncoderOptions& options);

// As log2 of bytes, for br and zstd: how far back they look, and so what one answer may hold on to.
// Text that repeats itself does so nearer than this.
inline constexpr int window_bits = 17;

// The thread's, for output on its way into a text; overwritten by whoever encodes next. Most
// answers fit, compressed or not, and zstd takes a short way where its input fits.
std::span<char> output_room();

}  // namespace millrace::coding
