#include "bind_sockets.hpp"

#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "enum_names.hpp"
#include "unwrap.hpp"

#include "millrace/net/listener.hpp"
#include "millrace/server/host.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

using net::SocketOptionOutcome;
using net::SocketOptions;
using Verdict = SocketOptionOutcome::Verdict;

constexpr EnumNames<Verdict, 5> verdicts{{{Verdict::kernel_default, "kernel_default"},
                                          {Verdict::taken, "taken"},
                                          {Verdict::changed, "changed"},
                                          {Verdict::refused, "refused"},
                                          {Verdict::not_applicable, "not_applicable"}}};

std::pair<int, server::SocketReport> open_listening_socket(
    const std::string& bind, int backlog, bool reuse_port,
    const std::optional<SocketOptions>& options, std::size_t index, bool takes_over) {
  auto const at = unwrap(net::Endpoint::parse(bind));
  auto socket = unwrap(net::ListenSocket::open(at, {.backlog = backlog,
                                                    .reuse_port = reuse_port,
                                                    .index = index,
                                                    .takes_over = takes_over,
                                                    .socket = options.value_or(SocketOptions{})}));
  server::SocketReport report{socket.endpoint().to_string(), socket.outcomes()};
  return {socket.release(), std::move(report)};
}

void bind_options(py::module_& module) {
  py::class_<SocketOptions>(module, "SocketOptions")
      .def(py::init<>())
      .def_readwrite("nodelay", &SocketOptions::nodelay)
      .def_readwrite("quickack", &SocketOptions::quickack)
      .def_readwrite("cork", &SocketOptions::cork)
      .def_readwrite("receive_buffer", &SocketOptions::receive_buffer)
      .def_readwrite("send_buffer", &SocketOptions::send_buffer)
      .def_readwrite("not_sent_low_watermark", &SocketOptions::not_sent_low_watermark)
      .def_readwrite("fast_open", &SocketOptions::fast_open)
      .def_readwrite("defer_accept", &SocketOptions::defer_accept)
      .def_readwrite("reuse_port", &SocketOptions::reuse_port)
      .def_readwrite("keepalive", &SocketOptions::keepalive)
      .def_readwrite("keepalive_idle", &SocketOptions::keepalive_idle)
      .def_readwrite("keepalive_interval", &SocketOptions::keepalive_interval)
      .def_readwrite("keepalive_count", &SocketOptions::keepalive_count)
      .def_readwrite("user_timeout", &SocketOptions::user_timeout)
      .def_readwrite("congestion_control", &SocketOptions::congestion_control)
      .def_readwrite("linger", &SocketOptions::linger)
      .def_readwrite("v6_only", &SocketOptions::v6_only)
      .def_readwrite("incoming_cpu", &SocketOptions::incoming_cpu)
      .def_readwrite("incoming_cpus", &SocketOptions::incoming_cpus)
      .def_readwrite("unix_mode", &SocketOptions::unix_mode);
}

void bind_reports(py::module_& module) {
  py::class_<SocketOptionOutcome>(module, "SocketOptionOutcome")
      .def_readonly("name", &SocketOptionOutcome::name)
      .def_readonly("asked", &SocketOptionOutcome::asked)
      .def_readonly("effective", &SocketOptionOutcome::effective)
      .def_property_readonly(
          "verdict",
          [](const SocketOptionOutcome& outcome) { return name_in(verdicts, outcome.verdict); })
      .def_readonly("why", &SocketOptionOutcome::why);
  py::class_<server::SocketReport>(module, "SocketReport")
      .def_readonly("endpoint", &server::SocketReport::endpoint)
      .def_readonly("outcomes", &server::SocketReport::outcomes);
  py::class_<net::AcceptQueue>(module, "AcceptQueue")
      .def_readonly("depth", &net::AcceptQueue::depth)
      .def_readonly("limit", &net::AcceptQueue::limit);
  py::class_<server::QueueReport>(module, "QueueReport")
      .def_readonly("endpoint", &server::QueueReport::endpoint)
      .def_readonly("queue", &server::QueueReport::queue);
  py::class_<net::ReceiveQueue>(module, "ReceiveQueue")
      .def_readonly("waiting_bytes", &net::ReceiveQueue::waiting_bytes)
      .def_readonly("limit_bytes", &net::ReceiveQueue::limit_bytes)
      .def_readonly("drops", &net::ReceiveQueue::drops);
  py::class_<server::ReceiveQueueReport>(module, "ReceiveQueueReport")
      .def_readonly("endpoint", &server::ReceiveQueueReport::endpoint)
      .def_readonly("queue", &server::ReceiveQueueReport::queue);
  py::class_<net::ListenCounters>(module, "ListenCounters")
      .def_readonly("overflows", &net::ListenCounters::overflows)
      .def_readonly("drops", &net::ListenCounters::drops);
}

}  // namespace

void bind_sockets(py::module_& module) {
  using namespace py::literals;
  bind_options(module);
  bind_reports(module);
  module.def("open_listening_socket", &open_listening_socket, "bind"_a,
             "backlog"_a = net::ListenSocket::Options{}.backlog, "reuse_port"_a = false,
             "options"_a = py::none(), "index"_a = net::ListenSocket::Options{}.index,
             "takes_over"_a = false);
  module.def("accept_queue", &net::accept_queue, "descriptor"_a, "family"_a);
  module.def("receive_queue", &net::receive_queue, "descriptor"_a);
  module.def("listen_counters", &net::listen_counters);
}

}  // namespace millrace::bindings
