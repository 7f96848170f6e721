#include "client_loop.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "interpreter_state.hpp"

namespace millrace::python {

conn::ClientLoop& client_loop() {
  auto& loop = interpreter_state().client_loop;
  if (!loop) loop = std::make_unique<conn::ClientLoop>();
  return *loop;
}

base::Result<std::vector<net::Endpoint>> addresses_of(const std::string& address) {
  if (address.starts_with("unix:")) {
    auto endpoint = net::Endpoint::parse(address);
    if (!endpoint) return endpoint.take_status();
    return std::vector{*endpoint};
  }
  auto const colon = address.rfind(':');
  auto host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  auto const port = colon == address.npos ? std::string() : address.substr(colon + 1);
  bool const is_number =
      !port.empty() && port.size() <= 5 &&
      std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (host.empty() || !is_number || std::stoi(port) > 65535)
    return base::Error{base::Errc::invalid_option,
                       {},
                       "'" + address + "' is no address: write 'host:port' or 'unix:/path'"};
  return net::Endpoint::resolve(host, static_cast<std::uint16_t>(std::stoi(port)));
}

void stop_clients() {
  auto loop = std::move(interpreter_state().client_loop);
  Py_BEGIN_ALLOW_THREADS;
  loop.reset();
  Py_END_ALLOW_THREADS;
}

// Leaked on purpose: its thread is the parent's.
void forget_clients() { (void)interpreter_state().client_loop.release(); }

}  // namespace millrace::python
