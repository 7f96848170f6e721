#include "bind_connections.hpp"

#include <pybind11/stl.h>

#include "enum_names.hpp"
#include "seconds.hpp"

#include "millrace/conn/connection_report.hpp"
#include "millrace/observe/log_escape.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

using conn::ConnectionReport;
using net::TcpReport;
using State = ConnectionReport::State;

constexpr EnumNames<State, 3> states{
    {{State::idle, "idle"}, {State::answering, "answering"}, {State::sending, "sending"}}};

// unix(7): a name may be any bytes, and a client chooses its own.
std::string printable(base::ByteView text) {
  std::string escaped;
  observe::append_escaped(escaped, text);
  return escaped;
}

template <auto field, class Class>
void in_seconds(py::class_<Class>& to, const char* name) {
  to.def_property_readonly(name, [](const Class& one) { return seconds(one.*field); });
}

void bind_tcp_report(py::module_& module) {
  py::class_<TcpReport> report(module, "TcpReport");
  report.def_readonly("state", &TcpReport::state)
      .def_readonly("congestion_control", &TcpReport::congestion_control)
      .def_readonly("send_segment_bytes", &TcpReport::send_segment_bytes)
      .def_readonly("congestion_window", &TcpReport::congestion_window)
      .def_readonly("slow_start_threshold", &TcpReport::slow_start_threshold)
      .def_readonly("unacked_segments", &TcpReport::unacked_segments)
      .def_readonly("lost_segments", &TcpReport::lost_segments)
      .def_readonly("retransmitted_segments", &TcpReport::retransmitted_segments)
      .def_readonly("not_sent_bytes", &TcpReport::not_sent_bytes)
      .def_readonly("bytes_acked", &TcpReport::bytes_acked)
      .def_readonly("bytes_received", &TcpReport::bytes_received)
      .def_readonly("segments_out", &TcpReport::segments_out)
      .def_readonly("segments_in", &TcpReport::segments_in)
      .def_readonly("delivery_rate", &TcpReport::delivery_rate)
      .def_readonly("pacing_rate", &TcpReport::pacing_rate);
  in_seconds<&TcpReport::rtt>(report, "rtt");
  in_seconds<&TcpReport::rtt_variation>(report, "rtt_variation");
  in_seconds<&TcpReport::rtt_min>(report, "rtt_min");
  in_seconds<&TcpReport::retransmission_timeout>(report, "retransmission_timeout");
  in_seconds<&TcpReport::since_data_sent>(report, "since_data_sent");
  in_seconds<&TcpReport::since_data_received>(report, "since_data_received");
}

}  // namespace

void bind_connections(py::module_& module) {
  bind_tcp_report(module);
  py::class_<ConnectionReport> report(module, "ConnectionReport");
  report.def_readonly("id", &ConnectionReport::id)
      .def_property_readonly("peer",
                             [](const ConnectionReport& one) { return printable(one.peer); })
      .def_readonly("loop", &ConnectionReport::loop)
      .def_readonly("requests", &ConnectionReport::requests)
      .def_property_readonly("state",
                             [](const ConnectionReport& one) { return name_in(states, one.state); })
      .def_readonly("unsent_bytes", &ConnectionReport::unsent_bytes)
      .def_readonly("tcp", &ConnectionReport::tcp);
  in_seconds<&ConnectionReport::age>(report, "age");
}

}  // namespace millrace::bindings
