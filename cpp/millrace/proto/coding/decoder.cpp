#include "millrace/proto/coding/decoder.hpp"

#include <array>
#include <vector>

#include "millrace/proto/coding/decoders.hpp"

namespace millrace::coding {
namespace {

// The thread's free lists.
struct FreeDecoders {
  std::array<std::vector<std::unique_ptr<Decoder>>, coding_count> of;
  std::vector<std::unique_ptr<Decoder>>& list(Coding coding) {
    return of[static_cast<std::size_t>(coding)];
  }
};
thread_local FreeDecoders free_decoders;

std::unique_ptr<Decoder> make(Coding coding) {
  switch (coding) {
    case Coding::gzip:
    case Coding::deflate:
      return make_zlib_decoder(coding);
    case Coding::br:
      return make_brotli_decoder();
    case Coding::zstd:
      return make_zstd_decoder();
  }
  return nullptr;
}

}  // namespace

Decoder* DecoderPool::take(Coding coding) {
  auto& list = free_decoders.list(coding);
  if (list.empty()) return make(coding).release();
  auto* const decoder = list.back().release();
  list.pop_back();
  return decoder;
}

void DecoderPool::give(Decoder* decoder) {
  std::unique_ptr<Decoder> owned(decoder);
  auto& list = free_decoders.list(owned->coding());
  if (list.size() < kept && owned->reset()) list.push_back(std::move(owned));
}

base::Error malformed(Coding coding, std::string_view what) {
  std::string detail(name_of(coding));
  return {base::Errc::bad_content_coding, "RFC 9110 8.4.1", detail.append(": ").append(what)};
}

}  // namespace millrace::coding
