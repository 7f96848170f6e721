#include "millrace/proto/http1/head_reader.hpp"

#include <algorithm>

#include "millrace/proto/http1/field_section.hpp"
#include "millrace/proto/http1/start_line.hpp"

namespace millrace::http1 {

Breach HeadReader::read_start_line(http::HeadBlock& block, proto::Side side,
                                   const http::Limits& limits) {
  if (start_line_size_ != 0) return {};
  std::size_t size = 0;
  auto const breach = side == proto::Side::server ? read_request_line(block, limits, size)
                                                  : read_status_line(block, size);
  start_line_size_ = static_cast<std::uint32_t>(size);
  return breach;
}

HeadReader::Outcome HeadReader::feed(base::ByteView bytes, http::HeadBlock& block, proto::Side side,
                                     const http::Limits& limits) {
  auto const room = limits.head_bytes - std::min(limits.head_bytes, block.bytes.size());
  auto const fitting = bytes.substr(0, room);
  auto const [found, at] = scan_(fitting);
  auto const used = found == LineScan::Found::nothing ? fitting.size() : at;
  block.bytes.append(fitting.substr(0, used));

  // What breaks a rule first is named first, so that a cut between the two makes no difference.
  if (auto const breach = read_start_line(block, side, limits)) return {used, false, breach};
  switch (found) {
    case LineScan::Found::nothing:
      if (fitting.size() < bytes.size()) return {used, false, {Rule::head_size, {}}};
      return {used, false, {}};
    case LineScan::Found::bad_line_end:
      return {used, false, {Rule::line_end, fitting.substr(at, 1)}};
    case LineScan::Found::nul:
      return {used, false, {Rule::nul_byte, {}}};
    case LineScan::Found::end:
      break;
  }
  // A head that is whole has a start line that was read or refused, unless it begins with its empty
  // line.
  if (start_line_size_ == 0)
    return {used,
            false,
            {side == proto::Side::server ? Rule::request_line : Rule::status_line, block.bytes}};
  return {used, true, read_fields(block, start_line_size_, limits.field_count)};
}

}  // namespace millrace::http1
