// One answer on its way into a content coding.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "millrace/conn/answer_step.hpp"
#include "millrace/proto/coding/encoder.hpp"

namespace millrace::server {

struct CompressionRules {
  std::size_t minimum_bytes;
  std::vector<std::string> content_types;  // lower case
  bool with_credentials;
};

// Whether an answer may come in a coding at all, whatever its client wants. `size`: of its body,
// where that is known.
bool may_be_compressed(const http::ResponseHead& head, std::optional<std::uint64_t> size,
                       const CompressionRules& rules);

// `rules` lives as long as the server. `wanted`: of the client; null for none.
std::unique_ptr<conn::AnswerStep> make_compression_step(const CompressionRules& rules,
                                                        const coding::EncoderOptions* wanted);

}  // namespace millrace::server
