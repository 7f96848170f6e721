#include "bind_datagrams.hpp"

#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "python_calls/engine.hpp"
#include "seconds.hpp"
#include "unwrap.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

using python::HandlerTarget;
using server::DatagramServerOptions;

template <auto field>
void limit(py::class_<DatagramServerOptions>& options, const char* name) {
  using Value = std::remove_reference_t<decltype(net::DatagramOptions{}.*field)>;
  options.def_property(
      name, [](const DatagramServerOptions& one) { return one.datagrams.*field; },
      [](DatagramServerOptions& one, const Value& value) { one.datagrams.*field = value; });
}

template <auto kind>
std::unique_ptr<python::Engine> serve(const DatagramServerOptions& options,
                                      const py::object& target) {
  auto engine = unwrap(python::Engine::make_datagram(
      options, HandlerTarget{kind, python::Ref::borrow(target.ptr())}));
  return checked(std::move(engine));
}

std::pair<int, server::SocketReport> open_datagram_socket(const std::string& bind, bool reuse_port,
                                                          const net::SocketOptions& options,
                                                          std::size_t index) {
  auto const at = unwrap(net::Endpoint::parse(bind));
  net::DatagramOptions asked;
  asked.reuse_port = reuse_port;
  asked.index = index;
  asked.socket = options;
  auto const socket = unwrap(net::DatagramSocket::open(at, asked));
  server::SocketReport report{socket->endpoint().to_string(), socket->outcomes()};
  return {socket->release(), std::move(report)};
}

}  // namespace

void bind_datagrams(py::module_& module) {
  using namespace py::literals;
  py::class_<DatagramServerOptions> options(module, "UdpServerOptions");
  options.def(py::init<>())
      .def_readwrite("bind", &DatagramServerOptions::bind)
      .def_readwrite("recipe", &DatagramServerOptions::recipe)
      .def_readwrite("calls", &DatagramServerOptions::calls)
      .def_property(
          "handler_stuck",
          [](const DatagramServerOptions& one) { return seconds(one.handler_stuck); },
          [](DatagramServerOptions& one, double value) { one.handler_stuck = nanoseconds(value); });
  limit<&net::DatagramOptions::batch>(options, "batch");
  limit<&net::DatagramOptions::datagram_bytes>(options, "datagram_bytes");
  limit<&net::DatagramOptions::unsent_datagrams>(options, "unsent_datagrams");
  limit<&net::DatagramOptions::socket>(options, "socket");
  limit<&net::DatagramOptions::counts_losses>(options, "counts_losses");
  options.def("check", [](const DatagramServerOptions& asked) {
    unwrap(server::DatagramServer::check(asked));
  });
  module.def("open_datagram_socket", &open_datagram_socket, "bind"_a, "reuse_port"_a, "options"_a,
             "index"_a);

  module.def("serve_datagrams", &serve<HandlerTarget::Kind::function>, "options"_a, "target"_a);
  module.def("serve_datagram_coroutine", &serve<HandlerTarget::Kind::coroutine>, "options"_a,
             "target"_a);
  module.def("serve_datagram_echo", &serve<HandlerTarget::Kind::echo>, "options"_a, "target"_a);
}

}  // namespace millrace::bindings
