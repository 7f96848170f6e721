// Socket options as values: what a person asks for, when it is set, and what the kernel made of it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "millrace/base/error.hpp"

namespace millrace::net {

// One field per option of the system, which is why there are so many. Empty: the kernel's default.
// Switches are 0 or 1. docs/socket_options.md says what each does on the wire.
struct SocketOptions {
  // On: an engine that writes an answer in one call gains nothing from Nagle's waiting (RFC 1122
  // 4.2.3.4), which costs the second of two answers a round trip.
  std::optional<int> nodelay = 1;
  std::optional<int> quickack, cork;
  std::optional<int> receive_buffer, send_buffer;  // bytes
  std::optional<int> not_sent_low_watermark;       // bytes
  // A listener's: connections waiting for their handshake's end. A client's: above 0 switches it
  // on.
  std::optional<int> fast_open;
  std::optional<int> defer_accept;  // seconds
  std::optional<int> reuse_port;
  std::optional<int> keepalive, keepalive_idle, keepalive_interval;  // the last two: seconds
  std::optional<int> keepalive_count;
  std::optional<int> user_timeout;  // milliseconds
  std::optional<std::string> congestion_control;
  std::optional<int> linger;  // seconds; 0 closes with a reset
  // On: listening on [::] leaves the port free on IPv4, whatever net.ipv6.bindv6only says.
  std::optional<int> v6_only = 1;
  std::optional<int> incoming_cpu;
  // Where sockets share an address: one each, in their order, in place of incoming_cpu.
  std::vector<int> incoming_cpus;
  std::optional<int> unix_mode;  // permissions of a Unix path, as chmod(2) takes them
};

// What one of several sockets on an address is asked for.
SocketOptions options_of_socket(SocketOptions options, std::size_t index);

// When an option is set. Connections inherit most of them from the socket they are accepted from.
enum class SocketMoment : std::uint8_t {
  before_bind = 1,
  before_listen = 2,
  accepted = 4,
  before_connect = 8,
  datagram = 16,  // a UDP socket, bound or not
};

struct RefusedOption {
  std::string_view name;
  int number;  // errno
};

// Sets those that belong to the moment and to the family; returns those that the kernel refused.
// Any thread.
std::vector<RefusedOption> set_socket_options(int descriptor, int family,
                                              const SocketOptions& options, SocketMoment moment);
// Whether set_socket_options would do anything.
bool has_socket_options(const SocketOptions& options, SocketMoment moment);

enum class DatagramSide : std::uint8_t { server, client };  // bound, or connected

// Errc::invalid_option for the first one that is asked for, not by default, and means nothing to
// sockets of UDP.
base::Status check_for_datagrams(const SocketOptions& options, DatagramSide side);

using SocketOptionValue = std::variant<std::monostate, std::int64_t, std::string>;

// What became of one option.
struct SocketOptionOutcome {
  enum class Verdict : std::uint8_t { kernel_default, taken, changed, refused, not_applicable };
  std::string name;
  SocketOptionValue asked, effective;  // effective: as getsockopt(2) has it
  Verdict verdict = Verdict::kernel_default;
  std::string why;  // where it was changed or refused, or is none of this socket's: a sentence
};

// Every option, read back from the kernel. Any thread.
std::vector<SocketOptionOutcome> read_socket_options(int descriptor, int family,
                                                     const SocketOptions& options,
                                                     const std::vector<RefusedOption>& refused);

}  // namespace millrace::net
