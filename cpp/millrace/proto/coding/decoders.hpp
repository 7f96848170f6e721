// What makes the decoders, and what they share.
#pragma once
#include <memory>
#include <string_view>

#include "millrace/proto/coding/decoder.hpp"

namespace millrace::coding {

std::unique_ptr<Decoder> make_zlib_decoder(Coding coding);  // gzip or deflate
std::unique_ptr<Decoder> make_brotli_decoder();
std::unique_ptr<Decoder> make_zstd_decoder();

base::Error malformed(Coding coding, std::string_view what);

// What all of them say of input that ends too early, or goes on too long.
inline constexpr std::string_view is_cut = "the input ends early";
inline constexpr std::string_view goes_on = "something follows the end";

}  // namespace millrace::coding
