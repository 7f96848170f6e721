#include "millrace/proto/framing/framing.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace millrace::framing {

using base::ByteView;
using base::Errc;

namespace {

// What is held between messages is given back when it has grown beyond this.
constexpr std::size_t kept_bytes = 4096;

// Of max_bytes: with a frame added it is still a size.
constexpr std::size_t largest_limit = std::numeric_limits<std::size_t>::max() / 2;

std::uint64_t largest_length(std::uint8_t prefix_bytes) {
  return prefix_bytes >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * prefix_bytes)) - 1;
}

base::Error too_large(std::uint64_t bytes, const Framing& framing) {
  return {Errc::message_too_large,
          {},
          std::to_string(bytes) + " bytes, max_bytes is " + std::to_string(framing.max_bytes)};
}

ByteView without_line_end(ByteView line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::uint64_t length_in(ByteView prefix) {
  std::uint64_t length = 0;
  for (auto const byte : prefix) length = length << 8 | static_cast<unsigned char>(byte);
  return length;
}

}  // namespace

base::Status check(const Framing& framing) {
  if (framing.kind == Kind::none) return {};
  if (framing.max_bytes == 0)
    return base::failure(Errc::invalid_option, {}, "max_bytes is 0: allow at least one byte");
  if (framing.max_bytes > largest_limit)
    return base::failure(Errc::invalid_option, {},
                         "max_bytes " + std::to_string(framing.max_bytes) + " is no limit: use " +
                             std::to_string(largest_limit) + " at most");
  if (framing.kind == Kind::lines) return {};
  constexpr std::array sizes{1, 2, 4, 8};
  auto const size = framing.prefix_bytes;
  if (std::find(sizes.begin(), sizes.end(), size) == sizes.end())
    return base::failure(Errc::invalid_option, {},
                         "a length of " + std::to_string(size) + " bytes: use 1, 2, 4 or 8");
  if (framing.max_bytes > largest_length(size))
    return base::failure(Errc::invalid_option, {},
                         "max_bytes " + std::to_string(framing.max_bytes) +
                             " does not fit a length of " + std::to_string(size) + " bytes");
  return {};
}

base::Result<std::optional<ByteView>> Splitter::next(ByteView& bytes) {
  if (std::exchange(is_told_, false)) {
    if (held_.capacity() > kept_bytes) std::string().swap(held_);
    held_.clear();
  }
  switch (framing_.kind) {
    case Kind::none:
      break;
    case Kind::lines:
      return next_line(bytes);
    case Kind::length_prefixed:
      return next_prefixed(bytes);
  }
  if (bytes.empty()) return std::optional<ByteView>();
  return std::optional(std::exchange(bytes, {}));
}

base::Result<std::optional<ByteView>> Splitter::next_line(ByteView& bytes) {
  auto const end = bytes.find('\n');
  auto const piece = end == ByteView::npos ? bytes : bytes.substr(0, end + 1);
  if (held_.empty() && end != ByteView::npos) {
    bytes.remove_prefix(piece.size());
    auto const line = without_line_end(piece);
    if (line.size() > framing_.max_bytes) return too_large(line.size(), framing_);
    return std::optional(line);
  }
  // Not more of it than tells that it is too long: its limit, CR, LF and one.
  hold(bytes, std::min(piece.size(),
                       framing_.max_bytes + 3 - std::min(held_.size(), framing_.max_bytes + 2)));
  auto const line = without_line_end(held_);
  if (line.size() > framing_.max_bytes) return too_large(line.size(), framing_);
  if (!held_.ends_with('\n')) return std::optional<ByteView>();
  is_told_ = true;
  return std::optional(line);
}

base::Result<std::optional<ByteView>> Splitter::next_prefixed(ByteView& bytes) {
  auto const prefix = std::size_t{framing_.prefix_bytes};
  if (held_.size() < prefix && held_.size() + bytes.size() >= prefix && !held_.empty())
    hold(bytes, prefix - held_.size());
  auto const seen = held_.empty() ? bytes : ByteView(held_);
  if (seen.size() < prefix) {
    hold(bytes, bytes.size());
    return std::optional<ByteView>();
  }
  auto const length = length_in(seen.substr(0, prefix));
  if (length > framing_.max_bytes) return too_large(length, framing_);
  auto const whole = prefix + static_cast<std::size_t>(length);
  if (held_.empty() && bytes.size() >= whole) {
    auto const message = bytes.substr(prefix, whole - prefix);
    bytes.remove_prefix(whole);
    return std::optional(message);
  }
  hold(bytes, std::min(bytes.size(), whole - held_.size()));
  if (held_.size() < whole) return std::optional<ByteView>();
  is_told_ = true;
  return std::optional(ByteView(held_).substr(prefix));
}

void Splitter::hold(ByteView& bytes, std::size_t count) {
  held_.append(bytes.substr(0, count));
  bytes.remove_prefix(count);
  copied_ += count;
}

base::Status Splitter::end() const {
  if (held_.empty() || is_told_) return {};
  return base::failure(Errc::incomplete_message, {},
                       std::to_string(held_.size()) + " bytes of it had come");
}

base::Status check(const Framing& framing, ByteView message) {
  if (framing.kind == Kind::none) return {};
  if (message.size() > framing.max_bytes)
    return base::failure(Errc::invalid_message, {}, too_large(message.size(), framing).detail);
  bool const is_two_lines = message.find('\n') != ByteView::npos ||
                            message.ends_with('\r');  // as its reader would see it
  if (framing.kind == Kind::lines && is_two_lines)
    return base::failure(Errc::invalid_message, {}, "a line with a line end in it");
  return {};
}

base::Status append(const Framing& framing, base::Bytes message, base::ByteChain& out) {
  if (auto checked = check(framing, message.view()); !checked) return checked;
  if (framing.kind == Kind::length_prefixed) {
    std::array<char, 8> prefix;
    auto const length = std::uint64_t{message.size()};
    for (std::size_t i = 0; i < framing.prefix_bytes; ++i)
      prefix[i] = static_cast<char>(length >> (8 * (framing.prefix_bytes - 1 - i)));
    out.append(ByteView(prefix.data(), framing.prefix_bytes));
  }
  out.append(std::move(message));
  if (framing.kind == Kind::lines) out.append(ByteView("\n"));
  return {};
}

}  // namespace millrace::framing
