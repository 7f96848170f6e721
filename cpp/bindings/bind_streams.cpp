#include "bind_streams.hpp"

#include <pybind11/stl.h>

#include <string>
#include <tuple>

#include "enum_names.hpp"
#include "python_calls/conversation.hpp"
#include "python_calls/engine.hpp"
#include "seconds.hpp"
#include "unwrap.hpp"

#include "millrace/conn/datagram_conversation.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

using conn::Conversation;
using conn::MessageStreamOptions;
using framing::Framing;
using python::HandlerTarget;
using server::StreamServerOptions;

py::object object(PyObject* made) { return py::reinterpret_steal<py::object>(checked(made)); }

constexpr char plain[] = "make_connection";
constexpr char awaited[] = "make_async_connection";

template <const char* function>
PyObject* make_connection(const conn::SharedConversation& conversation) {
  auto const core = py::cast(conversation);
  return python::call_host(function, core.ptr());
}

template <auto kind, const char* function>
std::unique_ptr<python::Engine> make_engine(const StreamServerOptions& options, py::object target) {
  auto engine = unwrap(python::Engine::make_stream(
      options, HandlerTarget{kind, python::Ref::borrow(target.ptr())}, make_connection<function>));
  return checked(std::move(engine));
}

Framing make_framing(std::size_t max_bytes, framing::Kind kind, std::uint8_t prefix_bytes) {
  Framing const made{.kind = kind, .max_bytes = max_bytes, .prefix_bytes = prefix_bytes};
  unwrap(framing::check(made));
  return made;
}

void bind_options(py::module_& module) {
  using namespace py::literals;
  py::class_<Framing>(module, "Framing", "How a stream of bytes is cut into messages.")
      .def(py::init<>())
      .def_static(
          "lines",
          [](std::size_t max_bytes) {
            return make_framing(max_bytes, framing::Kind::lines, Framing{}.prefix_bytes);
          },
          py::kw_only(), "max_bytes"_a = Framing{}.max_bytes)
      .def_static(
          "length_prefixed",
          [](std::uint8_t bytes, std::size_t max_bytes) {
            return make_framing(max_bytes, framing::Kind::length_prefixed, bytes);
          },
          py::kw_only(), "bytes"_a = Framing{}.prefix_bytes, "max_bytes"_a = Framing{}.max_bytes)
      .def_readonly("max_bytes", &Framing::max_bytes)
      .def_readonly("prefix_bytes", &Framing::prefix_bytes)
      .def_property_readonly("is_none",
                             [](const Framing& one) { return one.kind == framing::Kind::none; })
      .def(py::pickle(
          [](const Framing& one) {
            return std::tuple(static_cast<int>(one.kind), one.max_bytes, one.prefix_bytes);
          },
          [](const std::tuple<int, std::size_t, std::uint8_t>& state) {
            auto const& [kind, max_bytes, prefix_bytes] = state;
            return make_framing(max_bytes, static_cast<framing::Kind>(kind), prefix_bytes);
          }));

  py::class_<MessageStreamOptions>(module, "StreamOptions")
      .def(py::init<>())
      .def_readwrite("framing", &MessageStreamOptions::framing)
      .def_readwrite("high_water_bytes", &MessageStreamOptions::high_water_bytes)
      .def_readwrite("low_water_bytes", &MessageStreamOptions::low_water_bytes)
      .def_property(
          "idle_timeout", [](const MessageStreamOptions& one) { return seconds(one.idle_timeout); },
          [](MessageStreamOptions& one, double value) { one.idle_timeout = nanoseconds(value); })
      .def_property(
          "write_timeout",
          [](const MessageStreamOptions& one) { return seconds(one.write_timeout); },
          [](MessageStreamOptions& one, double value) { one.write_timeout = nanoseconds(value); });

  py::class_<StreamServerOptions>(module, "TcpServerOptions")
      .def(py::init<>())
      .def_readwrite("bind", &StreamServerOptions::bind)
      .def_readwrite("recipe", &StreamServerOptions::recipe)
      .def_property(
          "backlog", [](const StreamServerOptions& one) { return one.listening.backlog; },
          [](StreamServerOptions& one, int value) { one.listening.backlog = value; })
      .def_property(
          "socket", [](StreamServerOptions& one) { return &one.listening.socket; },
          [](StreamServerOptions& one, const net::SocketOptions& value) {
            one.listening.socket = value;
          },
          py::return_value_policy::reference_internal)
      .def_readwrite("max_connections", &StreamServerOptions::max_connections)
      .def_readwrite("max_connections_per_address",
                     &StreamServerOptions::max_connections_per_address)
      .def_property(
          "handler_stuck",
          [](const StreamServerOptions& one) { return seconds(one.handler_stuck); },
          [](StreamServerOptions& one, double value) { one.handler_stuck = nanoseconds(value); })
      .def_readwrite("stream", &StreamServerOptions::stream);
}

template <auto what>
auto taker() {
  return [](Conversation& conversation, std::size_t count) {
    return object(python::take(conversation, {what, count}));
  };
}

void bind_conversation(py::module_& module) {
  using namespace py::literals;
  py::class_<Conversation, conn::SharedConversation>(module, "Conversation")
      .def("take_message", taker<conn::Want::What::message>(), "count"_a = 0)
      .def("take_some", taker<conn::Want::What::some>(), "count"_a)
      .def("take_exactly", taker<conn::Want::What::exactly>(), "count"_a)
      .def("take_line", taker<conn::Want::What::line>(), "count"_a)
      .def(
          "wait",
          [](Conversation& conversation, double patience) {
            return object(
                python::wait_for_news(conversation, net::Reactor::clock() + nanoseconds(patience)));
          },
          "seconds"_a)
      .def(
          "write",
          [](Conversation& conversation, py::handle data) {
            return object(python::write(conversation, data.ptr()));
          },
          "data"_a)
      .def(
          "write_at_once",
          [](Conversation& conversation, py::handle data) {
            return object(python::write_at_once(conversation, data.ptr()));
          },
          "data"_a)
      .def("has_room", &Conversation::has_room)
      .def("finish", &Conversation::finish)
      .def("close", &Conversation::close)
      .def("abort", &Conversation::abort)
      .def("raise_failure",
           [](const Conversation& conversation) { unwrap(conversation.failure()); })
      .def_property_readonly("is_closed", &Conversation::is_closed)
      .def_property_readonly("unsent_bytes", &Conversation::unsent_bytes)
      .def_property_readonly("number", &Conversation::number)
      .def_property_readonly("peer", [](const Conversation& conversation) {
        return object(python::peer_of(conversation));
      });

  py::class_<python::Bell>(module, "Bell")
      .def(py::init<Conversation&>(), "conversation"_a)
      .def(py::init<conn::DatagramConversation&>(), "conversation"_a)
      .def("fileno", &python::Bell::descriptor)
      .def("silence", &python::Bell::silence);
}

}  // namespace

void bind_streams(py::module_& module) {
  using namespace py::literals;
  bind_options(module);
  bind_conversation(module);
  module.def("serve_function", &make_engine<HandlerTarget::Kind::function, plain>, "options"_a,
             "target"_a);
  module.def("serve_coroutine", &make_engine<HandlerTarget::Kind::coroutine, awaited>, "options"_a,
             "target"_a);
  module.def("serve_echo", &make_engine<HandlerTarget::Kind::echo, plain>, "options"_a, "target"_a);
  module.def(
      "connect",
      [](const std::string& address, double timeout, const MessageStreamOptions& options,
         const net::SocketOptions& socket) {
        return unwrap(python::connect(address, nanoseconds(timeout), options, socket));
      },
      "address"_a, "timeout"_a, "options"_a, "socket"_a);
}

}  // namespace millrace::bindings
