#include "millrace/net/system_error.hpp"

#include <cerrno>
#include <system_error>

namespace millrace::net {
namespace {

base::Errc code_of(int number) {
  using base::Errc;
  switch (number) {
    case ECONNREFUSED:
      return Errc::connection_refused;
    case ETIMEDOUT:
      return Errc::connect_timeout;
    case ECONNRESET:
      return Errc::connection_reset;
    case EPIPE:
      return Errc::connection_closed;
    case EADDRINUSE:
      return Errc::address_in_use;
    case EADDRNOTAVAIL:
      return Errc::address_not_available;
    case EMFILE:
    case ENFILE:
      return Errc::out_of_descriptors;
    case ENOSPC:
    case EDQUOT:
      return Errc::disk_full;
    default:
      return Errc::io_error;
  }
}

}  // namespace

base::Error system_error(int number, std::string_view what) {
  std::string detail(what);
  detail.append(": ").append(std::generic_category().message(number));
  return {code_of(number), {}, std::move(detail)};
}

void throw_system_error(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace millrace::net
