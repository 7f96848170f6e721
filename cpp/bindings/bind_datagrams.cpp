#include "bind_datagrams.hpp"

#include <pybind11/stl.h>

#include "python_calls/engine.hpp"
#include "unwrap.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

using server::DatagramServerOptions;

template <auto field>
void limit(py::class_<DatagramServerOptions>& options, const char* name) {
  using Value = std::remove_reference_t<decltype(net::DatagramOptions{}.*field)>;
  options.def_property(
      name, [](const DatagramServerOptions& one) { return one.datagrams.*field; },
      [](DatagramServerOptions& one, const Value& value) { one.datagrams.*field = value; });
}

std::unique_ptr<python::Engine> serve(const DatagramServerOptions& options, python::Ref target) {
  return unwrap(python::Engine::make_datagram(options, std::move(target)));
}

}  // namespace

void bind_datagrams(py::module_& module) {
  using namespace py::literals;
  py::class_<DatagramServerOptions> options(module, "UdpServerOptions");
  options.def(py::init<>())
      .def_readwrite("bind", &DatagramServerOptions::bind)
      .def_readwrite("recipe", &DatagramServerOptions::recipe);
  limit<&net::DatagramOptions::batch>(options, "batch");
  limit<&net::DatagramOptions::datagram_bytes>(options, "datagram_bytes");
  limit<&net::DatagramOptions::unsent_datagrams>(options, "unsent_datagrams");
  limit<&net::DatagramOptions::receive_buffer>(options, "receive_buffer");
  limit<&net::DatagramOptions::send_buffer>(options, "send_buffer");

  module.def(
      "serve_datagrams",
      [](const DatagramServerOptions& asked, const py::object& target) {
        return serve(asked, python::Ref::borrow(target.ptr()));
      },
      "options"_a, "target"_a);
  module.def(
      "serve_datagram_echo",
      [](const DatagramServerOptions& asked) { return serve(asked, python::Ref()); }, "options"_a);
}

}  // namespace millrace::bindings
