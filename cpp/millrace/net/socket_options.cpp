#include "millrace/net/socket_options.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "millrace/net/kernel_setting.hpp"

namespace millrace::net {
namespace {

using Number = std::optional<int> SocketOptions::*;
using enum SocketMoment;
using Verdict = SocketOptionOutcome::Verdict;

enum class Family : std::uint8_t { any, tcp, ipv6, unix_path };

// How the system takes the value.
enum class Form : std::uint8_t {
  number,
  as_switch,  // above 0 is on
  doubled,  // set as bytes, read back as twice as many: the other half is the kernel's bookkeeping
  linger,
  text,
  mode,
};

struct Row {
  std::string_view name;
  int level, option;
  Number value;  // null: congestion_control, the only text
  Family family;
  std::uint8_t moments;
  Form form;
  std::string_view hint;  // why the kernel may take something else
};

constexpr std::uint8_t at(SocketMoment moment) { return static_cast<std::uint8_t>(moment); }
constexpr auto both_sides = static_cast<std::uint8_t>(at(before_listen) | at(before_connect));
// The kernel does not hand these down to what is accepted.
constexpr auto each_connection = static_cast<std::uint8_t>(at(accepted) | at(before_connect));

// Of both sides, and of UDP.
constexpr auto every_socket = static_cast<std::uint8_t>(both_sides | at(datagram));

constexpr auto tcp = IPPROTO_TCP;
constexpr auto sock = SOL_SOCKET;

constexpr std::array rows{
    Row{"nodelay", tcp, TCP_NODELAY, &SocketOptions::nodelay, Family::tcp, both_sides, Form::number,
        ""},
    Row{"quickack", tcp, TCP_QUICKACK, &SocketOptions::quickack, Family::tcp, each_connection,
        Form::number, "on, it is set again after each read; off, the kernel comes back to it"},
    Row{"cork", tcp, TCP_CORK, &SocketOptions::cork, Family::tcp, both_sides, Form::number, ""},
    Row{"receive_buffer", sock, SO_RCVBUF, &SocketOptions::receive_buffer, Family::any,
        every_socket, Form::doubled, "net.core.rmem_max is the most, about 1 kB the least"},
    Row{"send_buffer", sock, SO_SNDBUF, &SocketOptions::send_buffer, Family::any, every_socket,
        Form::doubled, "net.core.wmem_max is the most, about 2 kB the least"},
    Row{"not_sent_low_watermark", tcp, TCP_NOTSENT_LOWAT, &SocketOptions::not_sent_low_watermark,
        Family::tcp, both_sides, Form::number, ""},
    Row{"fast_open", tcp, TCP_FASTOPEN, &SocketOptions::fast_open, Family::tcp, at(before_listen),
        Form::number, "net.core.somaxconn is the most"},
    Row{"fast_open", tcp, TCP_FASTOPEN_CONNECT, &SocketOptions::fast_open, Family::tcp,
        at(before_connect), Form::as_switch,
        "net.ipv4.tcp_fastopen lacks the 1 that lets clients take part"},
    Row{"defer_accept", tcp, TCP_DEFER_ACCEPT, &SocketOptions::defer_accept, Family::tcp,
        at(before_listen), Form::number,
        "the kernel counts in repetitions of its SYN-ACK: 1, 3, 7, 15, 31, 63 s"},
    Row{"reuse_port", sock, SO_REUSEPORT, &SocketOptions::reuse_port, Family::tcp, at(before_bind),
        Form::number, "only before it is bound"},
    Row{"keepalive", sock, SO_KEEPALIVE, &SocketOptions::keepalive, Family::tcp, both_sides,
        Form::number, ""},
    Row{"keepalive_idle", tcp, TCP_KEEPIDLE, &SocketOptions::keepalive_idle, Family::tcp,
        both_sides, Form::number, "1 to 32767 s"},
    Row{"keepalive_interval", tcp, TCP_KEEPINTVL, &SocketOptions::keepalive_interval, Family::tcp,
        both_sides, Form::number, "1 to 32767 s"},
    Row{"keepalive_count", tcp, TCP_KEEPCNT, &SocketOptions::keepalive_count, Family::tcp,
        both_sides, Form::number, "1 to 127"},
    Row{"user_timeout", tcp, TCP_USER_TIMEOUT, &SocketOptions::user_timeout, Family::tcp,
        both_sides, Form::number, ""},
    Row{"congestion_control", tcp, TCP_CONGESTION, nullptr, Family::tcp, both_sides, Form::text,
        "net.ipv4.tcp_available_congestion_control names those that are loaded"},
    Row{"linger", sock, SO_LINGER, &SocketOptions::linger, Family::tcp, both_sides, Form::linger,
        ""},
    Row{"v6_only", IPPROTO_IPV6, IPV6_V6ONLY, &SocketOptions::v6_only, Family::ipv6,
        at(before_bind), Form::number, "only before it is bound"},
    Row{"incoming_cpu", sock, SO_INCOMING_CPU, &SocketOptions::incoming_cpu, Family::tcp,
        static_cast<std::uint8_t>(at(before_listen) | at(datagram)), Form::number, ""},
    Row{"unix_mode", 0, 0, &SocketOptions::unix_mode, Family::unix_path, at(before_bind),
        Form::mode,
        "an abstract name has no permissions, and a path made elsewhere keeps those it has"},
};

bool applies(const Row& row, int family) {
  switch (row.family) {
    case Family::any:
      return true;
    case Family::tcp:
      return family != AF_UNIX;
    case Family::ipv6:
      return family == AF_INET6;
    case Family::unix_path:
      return family == AF_UNIX;
  }
  return false;
}

// One name, two options of the system: one lets a listener take part, the other a client.
bool is_of(const Row& row, bool is_listening) {
  if (row.value != &SocketOptions::fast_open) return true;
  return is_listening == (row.option == TCP_FASTOPEN);
}

bool is_for_datagrams(const Row& row, DatagramSide side) {
  if (side == DatagramSide::client)
    return (row.moments & at(datagram)) && (row.moments & at(before_connect));
  return (row.moments & (at(before_bind) | at(datagram))) && row.family != Family::unix_path;
}

bool is_asked(const Row& row, const SocketOptions& options) {
  return row.value ? (options.*row.value).has_value() : options.congestion_control.has_value();
}

bool set(int descriptor, const Row& row, const SocketOptions& options) {
  auto const number = row.value ? *(options.*row.value) : 0;
  auto const set_to = [&](const void* value, std::size_t size) {
    return ::setsockopt(descriptor, row.level, row.option, value, static_cast<socklen_t>(size)) ==
           0;
  };
  switch (row.form) {
    case Form::number:
    case Form::doubled:
      return set_to(&number, sizeof number);
    case Form::as_switch: {
      int const is_on = number > 0;
      return set_to(&is_on, sizeof is_on);
    }
    case Form::linger: {
      ::linger const value{.l_onoff = 1, .l_linger = number};
      return set_to(&value, sizeof value);
    }
    case Form::text:
      return set_to(options.congestion_control->data(), options.congestion_control->size());
    case Form::mode:
      // bind(2) gives the path these permissions, less the umask: never more than asked.
      return ::fchmod(descriptor, static_cast<mode_t>(number)) == 0;
  }
  return false;
}

SocketOptionValue asked_value(const Row& row, const SocketOptions& options) {
  if (!is_asked(row, options)) return {};
  if (!row.value) return *options.congestion_control;
  return std::int64_t{*(options.*row.value)};
}

SocketOptionValue mode_of_path(int descriptor) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  struct stat found {};
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) < 0 ||
      address.sun_path[0] == '\0' || ::stat(address.sun_path, &found) < 0)
    return {};
  return std::int64_t{found.st_mode & 07777};
}

template <class Value>
std::optional<Value> get(int descriptor, const Row& row) {
  Value value{};
  socklen_t size = sizeof value;
  if (::getsockopt(descriptor, row.level, row.option, &value, &size) < 0) return std::nullopt;
  return value;
}

SocketOptionValue effective_value(int descriptor, const Row& row) {
  switch (row.form) {
    case Form::number:
    case Form::as_switch:
    case Form::doubled:
      if (auto const value = get<int>(descriptor, row)) return std::int64_t{*value};
      return {};
    case Form::linger: {
      auto const value = get<::linger>(descriptor, row);
      if (value && value->l_onoff) return std::int64_t{value->l_linger};
      return {};
    }
    case Form::text: {
      auto const value = get<std::array<char, 16>>(descriptor, row);  // TCP_CA_NAME_MAX
      if (value) return std::string(value->data(), ::strnlen(value->data(), value->size()));
      return {};
    }
    case Form::mode:
      return mode_of_path(descriptor);
  }
  return {};
}

bool is_as_asked(const Row& row, const SocketOptionOutcome& outcome) {
  if (row.form != Form::doubled && row.form != Form::as_switch)
    return outcome.asked == outcome.effective;
  auto const* const asked = std::get_if<std::int64_t>(&outcome.asked);
  auto const* const effective = std::get_if<std::int64_t>(&outcome.effective);
  if (!asked || !effective) return false;
  return *effective == (row.form == Form::doubled ? 2 * *asked : *asked > 0);
}

// The kernel takes the number and does nothing with it unless this switch is on (ip-sysctl).
bool is_switched_off(const Row& row, const SocketOptionOutcome& outcome) {
  constexpr std::int64_t servers = 2;
  return row.option == TCP_FASTOPEN && row.level == tcp &&
         outcome.asked != SocketOptionValue(std::int64_t{0}) &&
         (kernel_setting("net/ipv4/tcp_fastopen").value_or(0) & servers) == 0;
}

void judge(SocketOptionOutcome& outcome, const Row& row,
           const std::vector<RefusedOption>& refused) {
  auto const refusal = std::ranges::find(refused, row.name, &RefusedOption::name);
  outcome.verdict = Verdict::taken;
  if (refusal != refused.end()) {
    outcome.verdict = Verdict::refused;
    outcome.why = std::generic_category().message(refusal->number);
    if (!row.hint.empty()) outcome.why.append("; ").append(row.hint);
  } else if (!is_as_asked(row, outcome)) {
    outcome.verdict = Verdict::changed;
    outcome.why = row.hint.empty() ? "the kernel has kept its own" : row.hint;
  } else if (is_switched_off(row, outcome)) {
    outcome.verdict = Verdict::changed;
    outcome.why = "net.ipv4.tcp_fastopen lacks the 2 that lets servers take part";
  }
}

}  // namespace

SocketOptions options_of_socket(SocketOptions options, std::size_t index) {
  if (index < options.incoming_cpus.size()) options.incoming_cpu = options.incoming_cpus[index];
  options.incoming_cpus.clear();
  return options;
}

std::vector<RefusedOption> set_socket_options(int descriptor, int family,
                                              const SocketOptions& options, SocketMoment moment) {
  std::vector<RefusedOption> refused;
  for (auto const& row : rows)
    if ((row.moments & at(moment)) && applies(row, family) && is_asked(row, options) &&
        !set(descriptor, row, options))
      refused.push_back({row.name, errno});
  return refused;
}

bool has_socket_options(const SocketOptions& options, SocketMoment moment) {
  return std::ranges::any_of(
      rows, [&](const Row& row) { return (row.moments & at(moment)) && is_asked(row, options); });
}

base::Status check_for_datagrams(const SocketOptions& options, DatagramSide side) {
  auto const is_beyond = [&, usual = SocketOptions{}](const Row& row) {
    return !is_for_datagrams(row, side) && asked_value(row, options) != asked_value(row, usual);
  };
  auto const found = std::ranges::find_if(rows, is_beyond);
  if (found == rows.end()) return {};
  auto const* const whose = side == DatagramSide::client ? "a client of UDP" : "UDP";
  return base::failure(base::Errc::invalid_option, {},
                       "socket option '" + std::string(found->name) + "' means nothing to " +
                           whose + ": leave it out");
}

std::vector<SocketOptionOutcome> read_socket_options(int descriptor, int family,
                                                     const SocketOptions& options,
                                                     const std::vector<RefusedOption>& refused) {
  std::vector<SocketOptionOutcome> outcomes;
  int is_listening = 0, type = SOCK_STREAM;
  socklen_t size = sizeof is_listening;
  ::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size);
  ::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size);
  for (auto const& row : rows) {
    if (!is_of(row, is_listening)) continue;
    auto& outcome = outcomes.emplace_back();
    outcome.name = row.name;
    outcome.asked = asked_value(row, options);
    if (!applies(row, family) ||
        (type == SOCK_DGRAM && !is_for_datagrams(row, DatagramSide::server))) {
      outcome.verdict = Verdict::not_applicable;
      continue;
    }
    if (is_listening && row.moments == each_connection) {
      if (is_asked(row, options)) outcome.verdict = Verdict::taken;
      outcome.why = "set on each connection";
      continue;
    }
    outcome.effective = effective_value(descriptor, row);
    if (is_asked(row, options)) judge(outcome, row, refused);
  }
  return outcomes;
}

}  // namespace millrace::net
