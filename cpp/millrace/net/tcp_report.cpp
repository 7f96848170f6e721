#include "millrace/net/tcp_report.hpp"

#include <linux/tcp.h>  // the whole tcp_info: the C library's own ends where an old kernel's did
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <string_view>

namespace millrace::net {
namespace {

// include/net/tcp_states.h of the kernel, from 1.
constexpr std::array<std::string_view, 13> states{
    "UNKNOWN", "ESTABLISHED", "SYN_SENT", "SYN_RECEIVED", "FIN_WAIT_1", "FIN_WAIT_2",  "TIME_WAIT",
    "CLOSED",  "CLOSE_WAIT",  "LAST_ACK", "LISTEN",       "CLOSING",    "NEW_SYN_RECV"};

base::Duration microseconds(std::uint32_t count) { return base::Duration{count} * 1000; }
base::Duration milliseconds(std::uint32_t count) { return base::milliseconds(count); }

std::string congestion_control(int descriptor) {
  std::array<char, 16> name{};  // TCP_CA_NAME_MAX
  socklen_t size = name.size();
  if (::getsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, name.data(), &size) < 0) return {};
  return {name.data(), ::strnlen(name.data(), name.size())};
}

}  // namespace

std::optional<TcpReport> read_tcp_report(int descriptor) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return std::nullopt;
  return TcpReport{
      .state = std::string(states[info.tcpi_state < states.size() ? info.tcpi_state : 0]),
      .congestion_control = congestion_control(descriptor),
      .rtt = microseconds(info.tcpi_rtt),
      .rtt_variation = microseconds(info.tcpi_rttvar),
      .rtt_min = microseconds(info.tcpi_min_rtt),
      .retransmission_timeout = microseconds(info.tcpi_rto),
      .since_data_sent = milliseconds(info.tcpi_last_data_sent),
      .since_data_received = milliseconds(info.tcpi_last_data_recv),
      .send_segment_bytes = info.tcpi_snd_mss,
      .congestion_window = info.tcpi_snd_cwnd,
      .slow_start_threshold = info.tcpi_snd_ssthresh,
      .unacked_segments = info.tcpi_unacked,
      .lost_segments = info.tcpi_lost,
      .retransmitted_segments = info.tcpi_total_retrans,
      .not_sent_bytes = info.tcpi_notsent_bytes,
      .bytes_acked = info.tcpi_bytes_acked,
      .bytes_received = info.tcpi_bytes_received,
      .segments_out = info.tcpi_segs_out,
      .segments_in = info.tcpi_segs_in,
      .delivery_rate = info.tcpi_delivery_rate,
      .pacing_rate = info.tcpi_pacing_rate,
  };
}

std::uint64_t socket_cookie(int descriptor) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return ::getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0 ? 0 : cookie;
}

}  // namespace millrace::net
