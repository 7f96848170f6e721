#include "millrace/proto/forms/multipart.hpp"

#include <algorithm>
#include <cstring>

#include "millrace/proto/http/text.hpp"

namespace millrace::forms {

using base::ByteView;
using base::Errc;
using base::Error;
using Kind = MultipartParser::Event::Kind;

namespace {

constexpr ByteView rule = "RFC 2046 5.1.1";

// memmem(3) skips ahead by the length of what it looks for, where string_view stops at every first
// byte.
std::size_t find_in(ByteView text, ByteView wanted) {
  auto const* const at = memmem(text.data(), text.size(), wanted.data(), wanted.size());
  return at ? static_cast<std::size_t>(static_cast<const char*>(at) - text.data()) : ByteView::npos;
}

// How many bytes at the end of the text may be the beginning of the delimiter. It holds one CR
// only, its first byte.
std::size_t begun_at_end(ByteView text, ByteView delimiter) {
  auto const last = text.substr(text.size() - std::min(text.size(), delimiter.size() - 1));
  auto const at = last.rfind('\r');
  return at != ByteView::npos && delimiter.starts_with(last.substr(at)) ? last.size() - at : 0;
}

}  // namespace

MultipartParser::MultipartParser(ByteView boundary, const FormLimits& limits)
    : limits_(limits), delimiter_("\r\n--" + std::string(boundary)) {}

base::Status MultipartParser::put(ByteView piece) {
  piece_ = piece;
  total_ += piece.size();
  if (total_ > limits_.total_bytes) return past_limit("total_bytes", limits_.total_bytes);
  return {};
}

base::Result<MultipartParser::Event> MultipartParser::next() {
  while (!piece_.empty() || state_ == State::found) {
    switch (state_) {
      case State::preamble:
      case State::content: {
        bool const is_content = state_ == State::content;
        auto const data = take_content();
        if (is_content && !data.empty()) return Event{Kind::data, data};
        break;
      }
      case State::found:
        state_ = State::delimiter;
        return Event{Kind::part_end, {}};
      case State::delimiter:
      case State::dash:
      case State::padding:
      case State::line_feed:
        if (auto status = follow_delimiter(); !status) return status;
        break;
      case State::head: {
        auto has_head = collect_head();
        if (!has_head) return has_head.take_status();
        if (*has_head) return Event{Kind::part, {}};
        break;
      }
      case State::epilogue:
        piece_ = {};
    }
  }
  return Event{};
}

// What stands before the next delimiter, as far as it has come. Empty: look at the state again.
ByteView MultipartParser::take_content() {
  if (matched_ != 0) {
    auto const held = ByteView(delimiter_).substr(borrowed_, matched_ - borrowed_);
    if (go_on_matching()) return {};
    borrowed_ = 0;
    return held;  // it was none: what was held back is content
  }
  auto const at = find_in(piece_, delimiter_);
  if (at == ByteView::npos) {
    matched_ = begun_at_end(piece_, delimiter_);
    auto const content = piece_.substr(0, piece_.size() - matched_);
    piece_ = {};
    return content;
  }
  auto const content = piece_.substr(0, at);
  piece_.remove_prefix(at + delimiter_.size());
  state_ = state_ == State::content ? State::found : State::delimiter;
  return content;
}

bool MultipartParser::go_on_matching() {
  auto const missing = ByteView(delimiter_).substr(matched_);
  auto const size = std::min(missing.size(), piece_.size());
  if (piece_.substr(0, size) != missing.substr(0, size)) {
    matched_ = 0;
    return false;
  }
  piece_.remove_prefix(size);
  matched_ += size;
  if (matched_ == delimiter_.size()) {
    matched_ = borrowed_ = 0;
    state_ = state_ == State::content ? State::found : State::delimiter;
  }
  return true;
}

base::Status MultipartParser::follow_delimiter() {
  char const c = piece_.front();
  piece_.remove_prefix(1);
  if (state_ == State::delimiter && c == '-') {
    state_ = State::dash;
  } else if (state_ == State::dash && c == '-') {
    state_ = State::epilogue;
  } else if (state_ == State::line_feed && c == '\n') {
    state_ = State::head;
    head_text_ = "\r\n";  // so that the empty line behind it is found even where nothing stands
                          // between
    padding_ = 0;
  } else if ((state_ == State::delimiter || state_ == State::padding) && c == '\r') {
    state_ = State::line_feed;
  } else if ((state_ == State::delimiter || state_ == State::padding) && http::is_blank(c)) {
    state_ = State::padding;
    if (++padding_ > limits_.part_head_bytes)
      return past_limit("part_head_bytes", limits_.part_head_bytes);
  } else {
    return Error{Errc::malformed_message, rule,
                 "a boundary is followed by neither a line's end nor two dashes"};
  }
  return {};
}

// True: it is whole, and read.
base::Result<bool> MultipartParser::collect_head() {
  constexpr ByteView end = "\r\n\r\n";
  auto const before = head_text_.size();
  auto const most = limits_.part_head_bytes + end.size() - before;
  head_text_.append(piece_.substr(0, most));
  auto const added = head_text_.size() - before;
  auto const at = head_text_.find(end, before - std::min(before, end.size() - 1));
  if (at == std::string::npos) {
    if (added == most) return past_limit("part_head_bytes", limits_.part_head_bytes);
    piece_ = {};
    return false;
  }
  piece_.remove_prefix(at + end.size() - before);
  if (++parts_ > limits_.parts) return past_limit("parts", limits_.parts);
  auto head = read_part_head(ByteView(head_text_).substr(2, at), limits_);
  if (!head) return head.take_status();
  head_ = std::move(*head);
  state_ = State::content;
  matched_ = borrowed_ = 2;  // content that is empty may have no line of its own
  return true;
}

base::Status MultipartParser::finish() const {
  if (state_ == State::epilogue) return {};
  return Error{Errc::malformed_message, rule, "the form ends before its last boundary"};
}

}  // namespace millrace::forms
