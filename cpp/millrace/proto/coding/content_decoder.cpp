#include "millrace/proto/coding/content_decoder.hpp"

namespace millrace::coding {

ContentDecoder::ContentDecoder(const std::vector<Coding>& codings, const DecodeLimits& limits)
    : limits_(limits) {
  for (auto coding = codings.rbegin(); coding != codings.rend(); ++coding) {
    auto& stage = stages_.emplace_back();
    stage.decoder.reset(DecoderPool::take(*coding));
    if (stages_.size() > 1) stage.between.resize(between_bytes);
  }
}

base::Result<Step> ContentDecoder::decode(ByteView input, std::span<char> room) {
  auto rest = input;
  auto const made = fill(stages_.size() - 1, rest, room);
  if (!made) return made.error();
  return Step{input.size() - rest.size(), made.value()};
}

base::Status ContentDecoder::end() {
  for (auto& stage : stages_)
    if (auto ended = stage.decoder->end(); !ended) return ended;
  return {};
}

// Fills the room from a stage, and that stage from the one before.
base::Result<std::size_t> ContentDecoder::fill(std::size_t index, ByteView& input,
                                               std::span<char> room) {
  auto& stage = stages_[index];
  auto& source = index == 0 ? input : stage.waiting;
  std::size_t made = 0;
  for (;;) {
    auto const done = step(stage, source, room.subspan(made));
    if (!done) return done.error();
    source.remove_prefix(done.value().taken);
    made += done.value().made;
    if (made == room.size() || index == 0) return made;
    auto const more = fill(index - 1, input, stage.between);
    if (!more) return more.error();
    if (more.value() == 0) return made;
    source = ByteView(stage.between).substr(0, more.value());
  }
}

// The limit holds for each stage, so that none can make work for the next without end.
base::Result<Step> ContentDecoder::step(Stage& stage, ByteView input, std::span<char> room) const {
  auto done = stage.decoder->decode(input, room);
  if (!done) return done;
  stage.taken += done->taken;
  stage.made += done->made;
  bool const is_bomb =
      stage.made > limits_.ratio_from_bytes && (stage.made - 1) / limits_.ratio >= stage.taken;
  if (is_bomb)
    return base::Error{base::Errc::body_too_large, "RFC 9110 8.4",
                       "more than " + std::to_string(limits_.ratio) + " times what was sent"};
  return done;
}

}  // namespace millrace::coding
