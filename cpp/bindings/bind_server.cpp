#include "bind_server.hpp"

#include <pybind11/stl.h>

#include "bind_files.hpp"
#include "bind_work.hpp"
#include "metric_rows.hpp"
#include "python_calls/engine.hpp"
#include "seconds.hpp"
#include "unwrap.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

using http::Limits;
using python::AppHooks;
using python::Engine;
using python::Ref;
using python::RouteRow;
using server::Options;

Ref ref(const py::object& object) { return Ref::borrow(object.ptr()); }

std::unique_ptr<server::Handler> make_other(const RouteRow& row) {
  return row.kind == "work"     ? make_work_handler(row.target.get())
         : row.kind == "static" ? make_static_handler(row.target.get())
                                : nullptr;
}

std::unique_ptr<Engine> make_engine(const Options& options, const std::vector<RouteRow>& rows,
                                    const AppHooks& hooks,
                                    const observe::RecorderOptions& recorders) {
  return unwrap(Engine::make(options, rows, hooks, recorders, make_other));
}

// A server holds the app, and an app may hold its server: the collector has to see both.
void add_traversal(PyHeapTypeObject* heap_type) {
  auto* const type = &heap_type->ht_type;
  type->tp_flags |= Py_TPFLAGS_HAVE_GC;
  type->tp_traverse = [](PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    return py::detail::is_holder_constructed(self)
               ? py::cast<const Engine&>(py::handle(self)).traverse(visit, arg)
               : 0;
  };
  type->tp_clear = [](PyObject*) { return 0; };
}

template <auto field>
void limit_seconds(py::class_<Limits>& limits, const char* name) {
  limits.def_property(
      name, [](const Limits& one) { return seconds(one.*field); },
      [](Limits& one, double value) { one.*field = nanoseconds(value); });
}

template <auto field>
void pump_seconds(py::class_<Options>& options, const char* name) {
  options.def_property(
      name, [](const Options& one) { return seconds(one.connection.pump.*field); },
      [](Options& one, double value) { one.connection.pump.*field = nanoseconds(value); });
}

template <auto field>
void connection_flag(py::class_<Options>& options, const char* name) {
  options.def_property(
      name, [](const Options& one) { return one.connection.*field; },
      [](Options& one, bool value) { one.connection.*field = value; });
}

template <auto field>
void decoding_limit(py::class_<Options>& options, const char* name) {
  options.def_property(
      name, [](const Options& one) { return one.decoding.*field; },
      [](Options& one, std::size_t value) { one.decoding.*field = value; });
}

template <auto field>
void admission_option(py::class_<Options>& options, const char* name) {
  using Value = std::remove_cvref_t<decltype(std::declval<Options>().admission.*field)>;
  options.def_property(
      name, [](const Options& one) { return one.admission.*field; },
      [](Options& one, Value value) { one.admission.*field = value; });
}

void bind_options(py::module_& module) {
  using namespace py::literals;
  py::class_<Limits> limits(module, "Limits");
  limits.def(py::init<>())
      .def_readwrite("target_bytes", &Limits::target_bytes)
      .def_readwrite("head_bytes", &Limits::head_bytes)
      .def_readwrite("field_count", &Limits::field_count)
      .def_readwrite("chunk_line_bytes", &Limits::chunk_line_bytes)
      .def_readwrite("trailer_bytes", &Limits::trailer_bytes)
      .def_readwrite("discard_bytes", &Limits::discard_bytes)
      .def_readwrite("min_body_rate", &Limits::min_body_rate);
  limit_seconds<&Limits::header_timeout>(limits, "header_timeout");
  limit_seconds<&Limits::body_timeout>(limits, "body_timeout");
  limit_seconds<&Limits::idle_timeout>(limits, "idle_timeout");

  py::class_<server::FilterRow>(module, "Filter")
      .def(py::init([](std::string kind, std::string prefix,
                       std::map<std::string, server::Settings::Value> settings) {
             return server::FilterRow{std::move(kind), std::move(prefix),
                                      server::Settings(std::move(settings))};
           }),
           "kind"_a, "prefix"_a, "settings"_a);

  py::class_<Options> options(module, "ServerOptions");
  options.def(py::init<>())
      .def_readwrite("bind", &Options::bind)
      .def_readwrite("recipe", &Options::recipe)
      .def_readwrite("limits", &Options::limits)
      .def_property(
          "backlog", [](const Options& one) { return one.listening.backlog; },
          [](Options& one, int value) { one.listening.backlog = value; })
      .def_property(
          "takes_over", [](const Options& one) { return one.listening.takes_over; },
          [](Options& one, bool value) { one.listening.takes_over = value; })
      .def_property(
          "socket", [](Options& one) { return &one.listening.socket; },
          [](Options& one, const net::SocketOptions& value) { one.listening.socket = value; },
          py::return_value_policy::reference_internal)
      .def_readwrite("body_bytes", &Options::body_bytes)
      .def_readwrite("decompress", &Options::decompress)
      .def_readwrite("max_connections", &Options::max_connections)
      .def_readwrite("max_connections_per_address", &Options::max_connections_per_address)
      .def_property(
          "max_requests_per_connection",
          [](const Options& one) { return one.connection.max_requests; },
          [](Options& one, std::uint64_t value) { one.connection.max_requests = value; })
      .def_property(
          "max_connection_age", [](const Options& one) { return seconds(one.connection.max_age); },
          [](Options& one, double value) { one.connection.max_age = nanoseconds(value); })
      .def_property(
          "body_ahead_bytes", [](const Options& one) { return one.connection.body_ahead_bytes; },
          [](Options& one, std::size_t value) { one.connection.body_ahead_bytes = value; })
      .def_property(
          "min_response_rate",
          [](const Options& one) { return one.connection.pump.min_response_rate; },
          [](Options& one, std::size_t value) { one.connection.pump.min_response_rate = value; })
      .def_readwrite("filters", &Options::filters)
      .def_readwrite("body_memory", &Options::body_memory)
      .def_readwrite("body_memory_high_water", &Options::body_memory_high_water)
      .def_property(
          "handler_stuck", [](const Options& one) { return seconds(one.handler_stuck); },
          [](Options& one, double value) { one.handler_stuck = nanoseconds(value); })
      .def_property(
          "high_water_bytes",
          [](const Options& one) { return one.connection.pump.high_water_bytes; },
          [](Options& one, std::size_t value) { one.connection.pump.high_water_bytes = value; });
  decoding_limit<&coding::DecodeLimits::codings>(options, "body_codings");
  decoding_limit<&coding::DecodeLimits::ratio>(options, "body_ratio");
  decoding_limit<&coding::DecodeLimits::ratio_from_bytes>(options, "body_ratio_from_bytes");
  admission_option<&server::AdmissionOptions::max_in_flight>(options, "max_in_flight");
  admission_option<&server::AdmissionOptions::adaptive>(options, "adaptive_in_flight");
  admission_option<&server::AdmissionOptions::queue_requests>(options, "queue_requests");
  options.def_property(
      "queue_timeout", [](const Options& one) { return seconds(one.admission.queue_timeout); },
      [](Options& one, double value) { one.admission.queue_timeout = nanoseconds(value); });
  connection_flag<&conn::ServerConnectionOptions::half_close>(options, "half_close");
  connection_flag<&conn::ServerConnectionOptions::journey>(options, "journey");
  pump_seconds<&conn::PumpOptions::write_timeout>(options, "write_timeout");
  pump_seconds<&conn::PumpOptions::linger_timeout>(options, "linger_timeout");
}

}  // namespace

void bind_server(py::module_& module) {
  using namespace py::literals;
  bind_options(module);

  py::class_<RouteRow>(module, "Route")
      .def(py::init([](std::vector<std::string> methods, std::string pattern, std::string kind,
                       const py::object& target) {
             return RouteRow{std::move(methods), std::move(pattern), std::move(kind), ref(target)};
           }),
           "methods"_a, "pattern"_a, "kind"_a, "target"_a);

  py::class_<AppHooks>(module, "AppHooks")
      .def(py::init([](const py::object& app, const py::object& on_exception,
                       const py::object& on_background, const py::object& form_limits) {
             return AppHooks{ref(app), ref(on_exception), ref(on_background), ref(form_limits)};
           }),
           py::kw_only(), "app"_a, "on_exception"_a, "on_background"_a,
           "form_limits"_a = py::none());

  py::class_<Engine>(module, "Server", py::custom_type_setup(add_traversal))
      .def(py::init(&make_engine), "options"_a, "routes"_a, "hooks"_a,
           "recorders"_a = observe::RecorderOptions{})
      .def("listen", [](Engine& engine) { unwrap(engine.listen()); })
      .def("run_loops",
           [](Engine& engine) {
             unwrap(engine.run_loops());
             checked(0);
           })
      .def("accept", [](Engine& engine) { unwrap(engine.accept()); })
      .def("stop_accepting", [](Engine& engine) { unwrap(engine.stop_accepting()); })
      .def(
          "drain",
          [](Engine& engine, double patience) { return checked(unwrap(engine.drain(patience))); },
          "seconds"_a)
      .def(
          "under_way",
          [](Engine& engine, std::size_t most, double patience) {
            auto found = unwrap(engine.under_way(most, patience));
            return std::pair(std::move(found.oldest), found.silent_loops);
          },
          "most"_a, "seconds"_a)
      .def(
          "retire",
          [](Engine& engine, double patience) { return checked(unwrap(engine.retire(patience))); },
          "seconds"_a)
      .def("stop_loops", [](Engine& engine) { unwrap(engine.stop_loops()); })
      .def_property_readonly("endpoints", &Engine::endpoints)
      .def_property_readonly("ports", &Engine::ports)
      .def("asyncio_loop",
           [](Engine& engine) {
             return py::reinterpret_borrow<py::object>(checked(engine.asyncio_loop()));
           })
      .def("stats",
           [](const Engine& engine) {
             return py::reinterpret_steal<py::object>(checked(engine.stats()));
           })
      .def("metrics", [](const Engine& engine) { return rows_of(engine.metrics()); })
      .def("socket_reports", &Engine::socket_reports)
      .def("accept_queues", &Engine::accept_queues)
      .def("receive_queues", &Engine::receive_queues)
      .def("listening_descriptors", &Engine::listening_descriptors)
      .def("leave_paths", &Engine::leave_paths)
      .def(
          "connections",
          [](Engine& engine, std::size_t most, double patience) {
            auto told = unwrap(engine.connections(most, patience));
            return std::pair(std::move(told.items), told.silent_loops);
          },
          "most"_a, "seconds"_a)
      .def("journey", &Engine::journey)
      .def("reset_journey", &Engine::reset_journey);
}

}  // namespace millrace::bindings
