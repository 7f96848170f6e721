// Limits on what a peer may make an HTTP codec hold or wait for. Each error names the limit.
#pragma once
#include <cstddef>
#include <cstdint>

#include "millrace/base/time.hpp"

namespace millrace::http {

struct Limits {
  // Bytes of the request target. 8,000 is the least that RFC 9112 3 asks for; longer ones get 414.
  std::size_t target_bytes = 8 * 1024;
  // Bytes of a whole head, start line included; more is 431. Cookies of several kB are common.
  std::size_t head_bytes = 32 * 1024;
  // Fields of a head; more is 431. Browsers send 10 to 20.
  std::size_t field_count = 100;
  // Bytes of a chunk-size line and of a trailer section.
  std::size_t chunk_line_bytes = 256;
  std::size_t trailer_bytes = 8 * 1024;
  // Unread body bytes that are thrown away to keep a connection alive; beyond that it is closed.
  std::size_t discard_bytes = 64 * 1024;
  // From the first byte of a head to its last. Slow senders are let go with 408.
  base::Duration header_timeout = base::seconds(10);
  // Between two reads of a body that somebody is waiting for.
  base::Duration body_timeout = base::seconds(30);
  // Bytes per second of such a body. A slower one lives on body_timeout until that is used up. 240
  // is what Kestrel asks for: below any modem's, so that only who drips on purpose is caught; 0:
  // none.
  std::size_t min_body_rate = 240;
  // From one answer to the next request. Above the 60 s of common load balancers, so that they
  // close first.
  base::Duration idle_timeout = base::seconds(75);
};

// "Date: ...\r\n", rewritten once a second by the loop that owns it. Outlives the loop's codecs.
// Home loop only.
struct DateField {
  char text[48] = {};
  std::size_t size = 0;
  // `unix_seconds`: seconds since 1970 (RFC 9110 5.6.7 gives the form).
  void write(std::int64_t unix_seconds);
};

}  // namespace millrace::http
