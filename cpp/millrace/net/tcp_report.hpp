// What the kernel knows of one TCP connection.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "millrace/base/time.hpp"

namespace millrace::net {

// TCP_INFO in our words; tcp(7) and linux/tcp.h. A table of the kernel's, hence its many fields.
// What an older kernel does not tell is 0.
struct TcpReport {
  std::string state;  // "ESTABLISHED", ...
  std::string congestion_control;
  base::Duration rtt = 0, rtt_variation = 0, rtt_min = 0;
  base::Duration retransmission_timeout = 0;
  base::Duration since_data_sent = 0, since_data_received = 0;
  std::uint32_t send_segment_bytes = 0;    // MSS
  std::uint32_t congestion_window = 0;     // segments
  std::uint32_t slow_start_threshold = 0;  // segments
  std::uint32_t unacked_segments = 0, lost_segments = 0;
  std::uint32_t retransmitted_segments = 0;  // over its life
  std::uint32_t not_sent_bytes = 0;
  std::uint64_t bytes_acked = 0, bytes_received = 0;
  std::uint32_t segments_out = 0, segments_in = 0;
  std::uint64_t delivery_rate = 0, pacing_rate = 0;  // bytes per second
};

// Empty for what is no TCP socket. Any thread.
std::optional<TcpReport> read_tcp_report(int descriptor);

// The number by which ss(8) shows a socket ("sk:"); no other has had it since boot. 0: none.
std::uint64_t socket_cookie(int descriptor);

}  // namespace millrace::net
