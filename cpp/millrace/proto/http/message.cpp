#include "millrace/proto/http/message.hpp"

#include "millrace/proto/http/status.hpp"

namespace millrace::http {

ByteView reason_phrase(std::uint16_t status) {
  if (status >= status_row_at.size()) return {};
  auto const row = status_row_at[status];
  return row == no_status_row ? ByteView{} : status_rows[row].reason;
}

std::uint16_t status_for(base::Errc code) {
  using enum base::Errc;
  switch (code) {
    case malformed_message:
    case conflicting_framing:
    case bad_host:
    case bad_line_end:
    case bad_chunk:
    case bad_target:
    case bad_content_coding:
    case unexpected_message:
    case incomplete_message:
      return 400;
    case header_timeout:
    case body_timeout:
    case idle_timeout:
      return 408;
    case body_too_large:
      return 413;
    case target_too_long:
      return 414;
    case unsupported_media_type:
      return 415;
    case head_too_large:
    case too_many_fields:
      return 431;
    case unsupported_transfer_coding:
      return 501;
    case bad_version:
      return 505;
    case disk_full:
      return 507;
    case too_many_connections:
    case overloaded:
      return 503;
    // A server that asks others on behalf of its client stands between the two (RFC 9110 15.6.3).
    case connection_refused:
    case connection_reset:
    case connection_closed:
    case name_not_found:
    case message_too_large:
      return 502;
    case connect_timeout:
    case read_timeout:
      return 504;
    case write_timeout:
    case address_in_use:
    case address_not_available:
    case out_of_descriptors:
    case io_error:
    case body_length_mismatch:
    case invalid_field:
    case invalid_message:
    case wrong_state:
    case cancelled:
    case invalid_option:
    case count_:
      return 500;
  }
  return 500;
}

ResponseHead* final_head(Part& part) {
  if (auto* message = std::get_if<ResponseMessage>(&part)) return &message->head;
  if (auto* chained = std::get_if<ChainedResponse>(&part)) return &chained->head;
  auto* const head = std::get_if<ResponseHead>(&part);
  return head && head->status >= 200 ? head : nullptr;
}

}  // namespace millrace::http
