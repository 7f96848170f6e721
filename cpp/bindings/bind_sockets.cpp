#include "bind_sockets.hpp"

#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "unwrap.hpp"

#include "millrace/net/listener.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

std::pair<int, std::string> open_listening_socket(const std::string& bind, int backlog,
                                                  bool reuse_port) {
  auto const at = unwrap(net::Endpoint::parse(bind));
  auto socket = unwrap(net::ListenSocket::open(at, {.backlog = backlog, .reuse_port = reuse_port}));
  auto where = socket.endpoint().to_string();
  return {socket.release(), std::move(where)};
}

}  // namespace

void bind_sockets(py::module_& module) {
  using namespace py::literals;
  module.def("open_listening_socket", &open_listening_socket, "bind"_a,
             "backlog"_a = net::ListenSocket::Options{}.backlog, "reuse_port"_a = false);
}

}  // namespace millrace::bindings
