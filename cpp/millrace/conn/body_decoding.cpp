#include "millrace/conn/body_decoding.hpp"

#include <array>
#include <utility>

namespace millrace::conn {

void BodyDecoding::put(base::Bytes coded) {
  if (is_over_) return;
  coded_.push_back(std::move(coded));
}

void BodyDecoding::end(http::Fields trailers) {
  input_ended_ = true;
  trailers_ = std::move(trailers);
}

base::Status BodyDecoding::advance(BodyReader& body, std::size_t most) {
  unread_ -= body.take_credit_due();
  while (!is_over_ && unread_ <= most) {
    std::array<char, step_bytes> room;
    auto const input = next_ < coded_.size() ? coded_[next_].view() : base::ByteView{};
    auto step = decoder_.decode(input, room);
    if (!step) {
      is_over_ = true;
      coded_.clear();
      return step.take_status();
    }
    if (step->made > 0) body.put(base::Bytes::copy_of({room.data(), step->made}));
    unread_ += step->made;
    credit_due_ += step->taken;
    if (!input.empty()) coded_[next_].remove_prefix(step->taken);
    if (step->made == room.size()) continue;
    if (next_ < coded_.size() && ++next_ < coded_.size()) continue;
    coded_.clear();
    next_ = 0;
    if (!input_ended_) break;
    is_over_ = true;
    if (auto ended = decoder_.end(); !ended) return ended;
    body.end(std::move(trailers_));
  }
  return {};
}

std::size_t BodyDecoding::take_credit_due() {
  return is_over_ || input_ended_ ? 0 : std::exchange(credit_due_, 0);
}

}  // namespace millrace::conn
