#include "millrace/base/error.hpp"

#include <array>

namespace millrace::base {
namespace {

using enum Fault;
using enum Retry;

constexpr std::array table{
    ErrcRow{Errc::malformed_message, "malformed_message",
            "the message does not follow the protocol's grammar", peer, never},
    ErrcRow{Errc::conflicting_framing, "conflicting_framing",
            "the message's length can be read in two ways", peer, never},
    ErrcRow{Errc::bad_host, "bad_host", "the Host field is missing, doubled or malformed", peer,
            never},
    ErrcRow{Errc::bad_line_end, "bad_line_end", "a line does not end in CR LF", peer, never},
    ErrcRow{Errc::bad_version, "bad_version", "the protocol version is not one we speak", peer,
            never},
    ErrcRow{Errc::bad_chunk, "bad_chunk", "a chunk's size, extension or end is malformed", peer,
            never},
    ErrcRow{Errc::bad_target, "bad_target", "the request target is malformed", peer, never},
    ErrcRow{Errc::unsupported_transfer_coding, "unsupported_transfer_coding",
            "the transfer coding is not one we speak", peer, never},
    ErrcRow{Errc::bad_content_coding, "bad_content_coding",
            "the content is not what its coding makes", peer, never},
    ErrcRow{Errc::unexpected_message, "unexpected_message",
            "a message came that nobody had asked for", peer, never},
    ErrcRow{Errc::incomplete_message, "incomplete_message",
            "the peer ended the connection inside a message", peer, on_new_connection},
    ErrcRow{Errc::unsupported_media_type, "unsupported_media_type",
            "the body is of a type that nobody reads here", peer, never},
    ErrcRow{Errc::target_too_long, "target_too_long", "the request target is longer than the limit",
            peer, never},
    ErrcRow{Errc::head_too_large, "head_too_large", "the head is larger than the limit", peer,
            never},
    ErrcRow{Errc::too_many_fields, "too_many_fields", "the head has more fields than the limit",
            peer, never},
    ErrcRow{Errc::body_too_large, "body_too_large", "the body is larger than the limit", peer,
            never},
    ErrcRow{Errc::message_too_large, "message_too_large", "the message is longer than the limit",
            peer, never},
    ErrcRow{Errc::too_many_connections, "too_many_connections",
            "the server has as many connections as it takes", local, always},
    ErrcRow{Errc::overloaded, "overloaded", "the server has as much work as it takes", local,
            always},
    ErrcRow{Errc::header_timeout, "header_timeout", "the head did not arrive in time", peer,
            on_new_connection},
    ErrcRow{Errc::body_timeout, "body_timeout", "the body did not arrive in time", peer, never},
    ErrcRow{Errc::read_timeout, "read_timeout", "nothing came in time", peer, never},
    ErrcRow{Errc::idle_timeout, "idle_timeout", "the connection was idle for too long", peer,
            on_new_connection},
    ErrcRow{Errc::write_timeout, "write_timeout", "the peer did not take our bytes in time", peer,
            never},
    ErrcRow{Errc::connect_timeout, "connect_timeout", "no connection in time", network, always},
    ErrcRow{Errc::connection_refused, "connection_refused", "the peer refused the connection",
            network, always},
    ErrcRow{Errc::connection_reset, "connection_reset", "the peer reset the connection", network,
            on_new_connection},
    ErrcRow{Errc::connection_closed, "connection_closed", "the peer closed the connection", network,
            on_new_connection},
    ErrcRow{Errc::address_in_use, "address_in_use", "the address is in use", local, never},
    ErrcRow{Errc::address_not_available, "address_not_available",
            "the address or port is not available", local, always},
    ErrcRow{Errc::name_not_found, "name_not_found", "the name has no address", network, always},
    ErrcRow{Errc::out_of_descriptors, "out_of_descriptors",
            "the process or system has no descriptor left", local, always},
    ErrcRow{Errc::disk_full, "disk_full", "the disk has no room left", local, never},
    ErrcRow{Errc::io_error, "io_error", "the operating system reported an error", local, never},
    ErrcRow{Errc::body_length_mismatch, "body_length_mismatch",
            "the body does not match its declared length", local, never},
    ErrcRow{Errc::invalid_field, "invalid_field", "a header field holds bytes that may not be sent",
            local, never},
    ErrcRow{Errc::invalid_message, "invalid_message", "the message cannot be sent in this framing",
            local, never},
    ErrcRow{Errc::wrong_state, "wrong_state", "the call does not fit the state of the message",
            local, never},
    ErrcRow{Errc::cancelled, "cancelled", "the work was cancelled", local, never},
    ErrcRow{Errc::invalid_option, "invalid_option", "an option has a value that cannot be used",
            local, never},
};

constexpr bool is_in_order() {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (table[i].code != static_cast<Errc>(i)) return false;
  return table.size() == static_cast<std::size_t>(Errc::count_);
}
static_assert(is_in_order(), "one row per Errc, in its order");

}  // namespace

std::span<const ErrcRow> error_table() { return table; }
const ErrcRow& describe(Errc code) { return table[static_cast<std::size_t>(code)]; }

std::string Error::message() const {
  std::string text(describe(code).sentence);
  if (!detail.empty()) text.append(" (").append(detail).append(")");
  if (!rule.empty()) text.append(" [").append(rule).append("]");
  return text;
}

}  // namespace millrace::base
