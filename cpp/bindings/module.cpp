// millrace._core: the compiled engine.
#include <pybind11/pybind11.h>

#include "bind_connections.hpp"
#include "bind_datagram_clients.hpp"
#include "bind_datagrams.hpp"
#include "bind_exec.hpp"
#include "bind_files.hpp"
#include "bind_forms.hpp"
#include "bind_http.hpp"
#include "bind_interpreter.hpp"
#include "bind_lab.hpp"
#include "bind_logs.hpp"
#include "bind_metrics.hpp"
#include "bind_observe.hpp"
#include "bind_server.hpp"
#include "bind_sockets.hpp"
#include "bind_streams.hpp"
#include "bind_work.hpp"
#include "errors.hpp"
#include "python_calls/client_loop.hpp"
#include "python_calls/engine.hpp"
#include "python_calls/interpreter_state.hpp"

namespace py = pybind11;
using namespace millrace;

namespace {

// At interpreter exit threads of ours would wake up to no interpreter; a forked child has none of
// them.
void watch_the_end(py::module_& module) {
  module.def("_stop_all", [] {
    python::Engine::stop_all();
    python::stop_clients();
  });
  module.def("_forget_all", [] {
    python::Engine::forget_all();
    python::forget_clients();
  });
  py::module_::import("atexit").attr("register")(module.attr("_stop_all"));
  py::module_::import("os").attr("register_at_fork")(py::arg("after_in_child") =
                                                         module.attr("_forget_all"));
}

}  // namespace

#if MILLRACE_HAS_SUBINTERPRETERS
PYBIND11_MODULE(_core, module, py::multiple_interpreters::per_interpreter_gil()) {
#else
PYBIND11_MODULE(_core, module) {
#endif
  module.doc() = "The compiled engine: names and lifetimes.";
  module.attr("__version__") = MILLRACE_VERSION;
  bindings::bind_errors(module);
  bindings::bind_exec(module);
  bindings::bind_http(module);
  bindings::bind_interpreter(module);
  bindings::bind_logs(module);
  bindings::bind_metrics(module);
  bindings::bind_observe(module);
  bindings::bind_sockets(module);
  bindings::bind_connections(module);
  bindings::bind_server(module);
  bindings::bind_streams(module);
  bindings::bind_datagrams(module);
  bindings::bind_datagram_clients(module);
  bindings::bind_work(module);
  bindings::bind_files(module);
  bindings::bind_forms(module);
  bindings::bind_lab(module);
  watch_the_end(module);
}
