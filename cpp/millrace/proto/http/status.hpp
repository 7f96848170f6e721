// Status codes and their reason phrases (RFC 9110 15, RFC 6585, RFC 8297, RFC 4918, RFC 7725).
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace millrace::http {

struct StatusRow {
  std::uint16_t status;
  std::string_view reason;
};

// In rising order. Codecs build their status lines from it at compile time.
inline constexpr std::array status_rows{
    StatusRow{100, "Continue"},
    StatusRow{101, "Switching Protocols"},
    StatusRow{102, "Processing"},
    StatusRow{103, "Early Hints"},
    StatusRow{200, "OK"},
    StatusRow{201, "Created"},
    StatusRow{202, "Accepted"},
    StatusRow{203, "Non-Authoritative Information"},
    StatusRow{204, "No Content"},
    StatusRow{205, "Reset Content"},
    StatusRow{206, "Partial Content"},
    StatusRow{207, "Multi-Status"},
    StatusRow{208, "Already Reported"},
    StatusRow{226, "IM Used"},
    StatusRow{300, "Multiple Choices"},
    StatusRow{301, "Moved Permanently"},
    StatusRow{302, "Found"},
    StatusRow{303, "See Other"},
    StatusRow{304, "Not Modified"},
    StatusRow{305, "Use Proxy"},
    StatusRow{307, "Temporary Redirect"},
    StatusRow{308, "Permanent Redirect"},
    StatusRow{400, "Bad Request"},
    StatusRow{401, "Unauthorized"},
    StatusRow{402, "Payment Required"},
    StatusRow{403, "Forbidden"},
    StatusRow{404, "Not Found"},
    StatusRow{405, "Method Not Allowed"},
    StatusRow{406, "Not Acceptable"},
    StatusRow{407, "Proxy Authentication Required"},
    StatusRow{408, "Request Timeout"},
    StatusRow{409, "Conflict"},
    StatusRow{410, "Gone"},
    StatusRow{411, "Length Required"},
    StatusRow{412, "Precondition Failed"},
    StatusRow{413, "Content Too Large"},
    StatusRow{414, "URI Too Long"},
    StatusRow{415, "Unsupported Media Type"},
    StatusRow{416, "Range Not Satisfiable"},
    StatusRow{417, "Expectation Failed"},
    StatusRow{418, "I'm a Teapot"},
    StatusRow{421, "Misdirected Request"},
    StatusRow{422, "Unprocessable Content"},
    StatusRow{423, "Locked"},
    StatusRow{424, "Failed Dependency"},
    StatusRow{425, "Too Early"},
    StatusRow{426, "Upgrade Required"},
    StatusRow{428, "Precondition Required"},
    StatusRow{429, "Too Many Requests"},
    StatusRow{431, "Request Header Fields Too Large"},
    StatusRow{451, "Unavailable For Legal Reasons"},
    StatusRow{500, "Internal Server Error"},
    StatusRow{501, "Not Implemented"},
    StatusRow{502, "Bad Gateway"},
    StatusRow{503, "Service Unavailable"},
    StatusRow{504, "Gateway Timeout"},
    StatusRow{505, "HTTP Version Not Supported"},
    StatusRow{506, "Variant Also Negotiates"},
    StatusRow{507, "Insufficient Storage"},
    StatusRow{508, "Loop Detected"},
    StatusRow{511, "Network Authentication Required"},
};

// Where a status stands in status_rows; `no_status_row` for one that has no row. Constant time.
inline constexpr std::uint8_t no_status_row = 0xff;
inline constexpr auto status_row_at = [] {
  std::array<std::uint8_t, 512> rows{};
  for (auto& row : rows) row = no_status_row;
  for (std::size_t i = 0; i < status_rows.size(); ++i)
    rows[status_rows[i].status] = static_cast<std::uint8_t>(i);
  return rows;
}();

// Responses that never carry a body, whatever their fields say (RFC 9112 6.3).
constexpr bool is_interim(std::uint16_t status) { return status >= 100 && status < 200; }
constexpr bool is_always_bodiless(std::uint16_t status) {
  return is_interim(status) || status == 204 || status == 304;
}

}  // namespace millrace::http
