#include "millrace/net/accept_queue.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

namespace millrace::net {
namespace {

std::optional<AcceptQueue> tcp_queue(int descriptor) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return std::nullopt;
  // In the state LISTEN these two fields mean the queue (tcp_get_info in the kernel).
  return AcceptQueue{info.tcpi_unacked, info.tcpi_sacked};
}

struct Question {
  nlmsghdr head{};
  unix_diag_req request{};
};

bool ask(int netlink, ino_t inode) {
  Question question;
  question.head.nlmsg_len = sizeof question;
  question.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.head.nlmsg_flags = NLM_F_REQUEST;
  question.request.sdiag_family = AF_UNIX;
  question.request.udiag_ino = static_cast<std::uint32_t>(inode);
  question.request.udiag_show = UDIAG_SHOW_RQLEN;
  question.request.udiag_cookie[0] = question.request.udiag_cookie[1] = ~0U;  // whatever it is
  return ::send(netlink, &question, sizeof question, 0) == sizeof question;
}

template <class Struct>
Struct read_as(const char* bytes) {
  Struct value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

std::optional<AcceptQueue> read_answer(const char* bytes, std::size_t size) {
  std::size_t position = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(unix_diag_msg));
  if (size < position || read_as<nlmsghdr>(bytes).nlmsg_type != SOCK_DIAG_BY_FAMILY)
    return std::nullopt;
  while (position + sizeof(rtattr) <= size) {
    auto const attribute = read_as<rtattr>(bytes + position);
    if (attribute.rta_len < sizeof(rtattr) || position + attribute.rta_len > size) break;
    if (attribute.rta_type == UNIX_DIAG_RQLEN &&
        attribute.rta_len >= RTA_LENGTH(sizeof(unix_diag_rqlen))) {
      auto const queue = read_as<unix_diag_rqlen>(bytes + position + RTA_LENGTH(0));
      return AcceptQueue{queue.udiag_rqueue, queue.udiag_wqueue};
    }
    position += RTA_ALIGN(attribute.rta_len);
  }
  return std::nullopt;
}

std::optional<AcceptQueue> unix_queue(int descriptor) {
  struct stat found {};
  if (::fstat(descriptor, &found) < 0) return std::nullopt;
  int const netlink = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (netlink < 0) return std::nullopt;
  std::optional<AcceptQueue> queue;
  // The kernel answers while the question is being sent, so there is nothing to wait for.
  if (ask(netlink, found.st_ino)) {
    std::array<char, 1024> answer;
    auto const size = ::recv(netlink, answer.data(), answer.size(), MSG_DONTWAIT);
    if (size > 0) queue = read_answer(answer.data(), static_cast<std::size_t>(size));
  }
  ::close(netlink);
  return queue;
}

}  // namespace

std::optional<AcceptQueue> accept_queue(int descriptor, int family) {
  return family == AF_UNIX ? unix_queue(descriptor) : tcp_queue(descriptor);
}

// Two lines a group: names, then numbers.
std::optional<ListenCounters> listen_counters() {
  std::ifstream file("/proc/net/netstat");
  ListenCounters counters;
  for (std::string names, numbers; std::getline(file, names) && std::getline(file, numbers);) {
    if (!names.starts_with("TcpExt:")) continue;
    std::istringstream name_at(names), number_at(numbers);
    std::string name, number;
    while (name_at >> name && number_at >> number) {
      if (name == "ListenOverflows") counters.overflows = std::stoull(number);
      if (name == "ListenDrops") counters.drops = std::stoull(number);
    }
    return counters;
  }
  return std::nullopt;
}

}  // namespace millrace::net
