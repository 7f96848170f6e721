#include "bind_datagram_clients.hpp"

#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "python_calls/conversation.hpp"
#include "python_calls/datagram_conversation.hpp"
#include "seconds.hpp"
#include "unwrap.hpp"

#include "millrace/server/service.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

using conn::DatagramConversation;
using conn::DatagramConversationOptions;

py::object object(PyObject* made) { return py::reinterpret_steal<py::object>(checked(made)); }

}  // namespace

void bind_datagram_clients(py::module_& module) {
  using namespace py::literals;
  py::class_<DatagramConversationOptions>(module, "UdpClientOptions")
      .def(py::init<>())
      .def_readwrite("unread_datagrams", &DatagramConversationOptions::unread_datagrams)
      .def_readwrite("socket", &DatagramConversationOptions::socket)
      .def("check", [](const DatagramConversationOptions& asked) {
        unwrap(DatagramConversation::check(asked));
      });

  py::class_<DatagramConversation, conn::SharedDatagrams>(module, "DatagramConversation")
      .def("take_one", [](DatagramConversation& one) { return object(python::take_datagram(one)); })
      .def(
          "take",
          [](DatagramConversation& one, std::size_t most) {
            return object(python::take_datagrams(one, most));
          },
          "most"_a)
      .def(
          "send_one",
          [](DatagramConversation& one, py::handle data) {
            return object(python::send_datagram(one, data.ptr()));
          },
          "data"_a)
      .def(
          "send",
          [](DatagramConversation& one, const py::list& datagrams, std::size_t begin) {
            return object(python::send_datagrams(one, datagrams.ptr(), begin));
          },
          "datagrams"_a, "begin"_a)
      .def(
          "wait",
          [](DatagramConversation& one, double patience) {
            return object(
                python::wait_for_news(one, net::Reactor::clock() + nanoseconds(patience)));
          },
          "seconds"_a)
      .def("close", &DatagramConversation::close)
      .def("socket_reports",
           [](const DatagramConversation& one) {
             return std::vector{server::SocketReport{one.peer().to_string(), one.outcomes()}};
           })
      .def("counters",
           [](const DatagramConversation& one) { return object(python::counters_of(one)); })
      .def_property_readonly("is_closed", &DatagramConversation::is_closed)
      .def_property_readonly(
          "peer", [](const DatagramConversation& one) { return object(python::peer_of(one)); });

  module.def(
      "connect_datagrams",
      [](const std::string& address, const DatagramConversationOptions& options) {
        return unwrap(python::connect_datagrams(address, options));
      },
      "address"_a, "options"_a);
}

}  // namespace millrace::bindings
