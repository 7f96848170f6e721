#include "engine.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "answer.hpp"
#include "engine_parts.hpp"
#include "handlers.hpp"
#include "interpreter_state.hpp"
#include "metrics_route.hpp"
#include "response.hpp"

#include "millrace/server/constant.hpp"

namespace millrace::python {
namespace {

using base::Errc;

base::Time deadline_in(double seconds) {
  return net::Reactor::clock() + static_cast<base::Duration>(std::min(seconds, 1e9) * 1e9);
}

base::Status not_a_route(const RouteRow& row, const char* why) {
  return base::failure(Errc::invalid_option, {}, "route '" + row.pattern + "': " + why);
}

base::Result<std::unique_ptr<server::Handler>> make_constant(const RouteRow& row) {
  PreparedAnswer answer;
  if (!PyObject_TypeCheck(row.target.get(), interpreter_state().types.response) ||
      !prepare(row.target.get(), answer) || answer.form != PreparedAnswer::Form::whole) {
    PyErr_Clear();
    return base::Error{
        Errc::invalid_option,
        {},
        "route '" + row.pattern + "': a constant answer is a Response with a body at hand"};
  }
  http::Fields fields;
  for (auto const* from :
       {answer.head.preset, const_cast<const http::Fields*>(&answer.head.fields)})
    for (std::size_t i = 0; from && i < from->size(); ++i)
      fields.add(from->name(i), from->value(i));
  return std::unique_ptr<server::Handler>(std::make_unique<server::Constant>(
      answer.head.status, std::move(fields), std::string(answer.bytes)));
}

}  // namespace

std::vector<PathParameter> path_parameters(std::string_view pattern) {
  std::vector<PathParameter> parameters;
  for (std::size_t open = pattern.find('{'); open != pattern.npos;
       open = pattern.find('{', open + 1)) {
    auto const inner = pattern.substr(open + 1, pattern.find('}', open) - open - 1);
    auto const colon = inner.find(':');
    auto const type = colon == inner.npos ? std::string_view("str") : inner.substr(colon + 1);
    PathParameter parameter;
    auto* name = to_str(inner.substr(0, colon));
    PyUnicode_InternInPlace(&name);
    parameter.name = Ref(name);
    if (type == "int") parameter.kind = PathParameter::Kind::integer;
    if (type == "float") parameter.kind = PathParameter::Kind::real;
    if (type == "uuid") parameter.kind = PathParameter::Kind::uuid;
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

// ----------------------------------------------------------------------------------------------
// building

base::Status Engine::Parts::add(const RouteRow& row, server::Router& router,
                                MakeHandler make_other) {
  std::unique_ptr<server::Handler> handler;
  if (row.kind == "constant") {
    auto constant = make_constant(row);
    if (!constant) return constant.take_status();
    handler = std::move(*constant);
  } else if (row.kind == "metrics") {
    handler = std::make_unique<MetricsHandler>([this] { return metrics(); });
  } else if (row.kind == "function" || row.kind == "coroutine") {
    if (!PyCallable_Check(row.target.get())) return not_a_route(row, "its target cannot be called");
    routes.push_back({&application, row.pattern, Ref(to_str(row.pattern)), {}, row.target});
    auto const& route = routes.back();
    if (row.kind == "function") {
      has_functions = true;
      handler = std::make_unique<PlainHandler>(route);
    } else {
      has_coroutines = true;
      handler = std::make_unique<CoroutineHandler>(route);
    }
  } else {
    handler = make_other(row);
    if (!handler) return not_a_route(row, ("unknown kind '" + row.kind + "'").c_str());
  }
  handlers.push_back(std::move(handler));
  if (auto status = router.add(row.methods, row.pattern, *handlers.back()); !status) return status;
  // Only a pattern that the router has accepted can be taken apart without checks.
  if (row.kind == "function" || row.kind == "coroutine")
    routes.back().parameters = path_parameters(row.pattern);
  return {};
}

base::Result<std::unique_ptr<Engine>> Engine::make(server::Options options,
                                                   const std::vector<RouteRow>& rows,
                                                   const AppHooks& hooks,
                                                   observe::RecorderOptions recorders,
                                                   MakeHandler make_other) {
  if (auto status = exec::check(options.recipe); !status) return status;
  auto parts = std::make_unique<Parts>(options.recipe);
  parts->application.app = hooks.app;
  parts->application.on_exception = hooks.on_exception;
  parts->application.on_background = hooks.on_background;
  parts->handler_stuck = options.handler_stuck;
  parts->application.form_limits = hooks.form_limits;
  parts->application.body_bytes = options.body_bytes;
  auto filters = server::Filters::make(options.filters);
  if (!filters) return filters.take_status();
  server::Router router;
  for (auto const& row : rows)
    if (auto status = parts->add(row, router, make_other); !status) return status;
  recorders.journey = options.connection.journey;
  options.connection.journey = recorders.needs_moments();
  auto const make_sink = [&made = parts->recorders, recorders](std::size_t) {
    auto recorder = std::make_unique<observe::RequestRecorder>(recorders);
    made.push_back(recorder.get());
    return recorder;
  };
  parts->set_worker_guard();
  auto http =
      std::make_unique<server::Server>(std::move(options), std::move(router), &parts->runner,
                                       &parts->worker_guard, make_sink, std::move(*filters));
  parts->http = http.get();
  parts->serve(std::move(http));
  // A streamed body goes through it again.
  parts->application.queue = parts->server->loops().queue();
  return std::unique_ptr<Engine>(new Engine(std::move(parts)));
}

base::Result<std::unique_ptr<Engine>> Engine::make_stream(server::StreamServerOptions options,
                                                          const HandlerTarget& target,
                                                          MakeConnection make_connection) {
  if (auto status = exec::check(options.recipe); !status) return status;
  if (auto status = framing::check(options.stream.framing); !status) return status;
  auto parts = std::make_unique<Parts>(options.recipe);
  parts->handler_stuck = options.handler_stuck;
  parts->target = target.callable;
  parts->has_coroutines = target.kind == HandlerTarget::Kind::coroutine;
  parts->has_functions = target.kind == HandlerTarget::Kind::function;
  CoroutineStreamHandler* coroutine = nullptr;
  if (parts->has_coroutines) {
    auto handler = std::make_unique<CoroutineStreamHandler>(target.callable, make_connection,
                                                            parts->target_name);
    coroutine = handler.get();
    parts->stream_handler = std::move(handler);
  } else if (parts->has_functions) {
    parts->stream_handler =
        std::make_unique<PlainStreamHandler>(target.callable, make_connection, parts->target_name);
  } else {
    parts->stream_handler = std::make_unique<server::Echo>();
  }
  parts->set_worker_guard();
  auto server = std::make_unique<server::StreamServer>(std::move(options), *parts->stream_handler,
                                                       &parts->runner, &parts->worker_guard);
  auto* const served = server.get();
  parts->serve(std::move(server));
  if (coroutine) {
    auto* const asyncio = parts->need_asyncio();
    if (!asyncio) return std::unique_ptr<Engine>();
    coroutine->serve_on(*asyncio, *served);
  }
  return std::unique_ptr<Engine>(new Engine(std::move(parts)));
}

base::Result<std::unique_ptr<Engine>> Engine::make_datagram(server::DatagramServerOptions options,
                                                            const HandlerTarget& target) {
  if (auto status = server::DatagramServer::check(options); !status) return status;
  auto parts = std::make_unique<Parts>(options.recipe);
  parts->handler_stuck = options.handler_stuck;
  parts->has_functions = target.kind == HandlerTarget::Kind::function;
  parts->has_coroutines = target.kind == HandlerTarget::Kind::coroutine;
  parts->target = target.callable;
  CoroutineDatagramHandler* coroutine = nullptr;
  if (parts->has_coroutines) {
    auto handler = std::make_unique<CoroutineDatagramHandler>(target.callable, parts->target_name);
    coroutine = handler.get();
    parts->datagram_handler = std::move(handler);
  } else if (parts->has_functions) {
    parts->datagram_handler =
        std::make_unique<PlainDatagramHandler>(target.callable, parts->target_name);
  } else {
    parts->datagram_handler = std::make_unique<server::DatagramEcho>();
  }
  parts->set_worker_guard();
  parts->datagrams = std::make_unique<server::DatagramServer>(
      std::move(options), *parts->datagram_handler, &parts->runner, &parts->worker_guard);
  parts->server = parts->datagrams.get();
  if (coroutine) {
    auto* const asyncio = parts->need_asyncio();
    if (!asyncio || !coroutine->serve_on(*asyncio)) return std::unique_ptr<Engine>();
  }
  return std::unique_ptr<Engine>(new Engine(std::move(parts)));
}

Engine::Engine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {
  parts_->application.python.engines.push_back(this);
  parts_->application.need_asyncio = [p = parts_.get()] { return p->need_asyncio(); };
}

base::Status Engine::usable() const {
  if (!parts_)
    return base::failure(Errc::wrong_state, {}, "the server belongs to the parent of this process");
  if (is_thread_of(parts_.get()))
    return base::failure(Errc::wrong_state, {},
                         "a handler cannot stop its own server: do it on another thread");
  return {};
}

// ----------------------------------------------------------------------------------------------
// life

base::Status Engine::listen() {
  if (auto status = usable(); !status) return status;
  WithoutGil const unlocked;
  return parts_->server->listen();
}

AsyncioHost* Engine::Parts::need_asyncio() {
  if (asyncio) return asyncio.get();
  bool const is_alone =
      is_running || !runs_handlers_on_loops() || !(has_functions || has_coroutines);
  auto made = AsyncioHost::make(is_alone ? nullptr : &server->loops()[0]);
  if (!made || asyncio) return asyncio.get();  // another thread was faster
  asyncio = std::move(made);
  asyncio_is_alone = is_alone;
  application.asyncio = asyncio.get();
  if (is_running) asyncio->run_alone(this);
  return asyncio.get();
}

base::Status Engine::run_loops() {
  if (auto status = usable(); !status) return status;
  auto& p = *parts_;
  if (p.has_coroutines && !p.need_asyncio()) return {};
  bool const python = p.has_functions && p.runs_handlers_on_loops();
  p.runner.set(python ? Runs::python : Runs::native,
               p.asyncio_is_alone ? nullptr : p.asyncio.get());
  p.is_running = true;
  p.name_target();
  if (p.asyncio && p.asyncio_is_alone) p.asyncio->run_alone(&p);
  p.server->run_loops();
  p.watch_handlers();
  return {};
}

void Engine::Parts::name_target() {
  if (http) return;
  target_name = datagrams ? "the UDP server at" : "the TCP server at";
  for (auto const* separator = " "; auto const& endpoint : server->endpoints())
    target_name += std::exchange(separator, ", ") + endpoint.to_string();
}

void Engine::Parts::watch_handlers() {
  if (handler_stuck == 0 || !(has_functions || has_coroutines)) return;
  // The counter is a loop's, but the watch alone writes it.
  watch = std::make_unique<HandlerWatch>(this, handler_stuck,
                                         server->loops()[0].counters().handlers_stuck);
}

base::Status Engine::accept() {
  if (auto status = usable(); !status) return status;
  WithoutGil const unlocked;
  return parts_->server->accept();
}

base::Status Engine::stop_accepting() {
  if (auto status = usable(); !status) return status;
  WithoutGil const unlocked;
  parts_->server->stop_accepting();
  return {};
}

base::Result<std::size_t> Engine::drain(double seconds) {
  return wait_in_slices(seconds, &server::Service::drain);
}

base::Result<std::size_t> Engine::retire(double seconds) {
  return wait_in_slices(seconds, &server::Service::retire);
}

base::Result<std::size_t> Engine::wait_in_slices(double seconds, Wait wait) {
  if (auto status = usable(); !status) return status;
  auto const deadline = deadline_in(seconds);
  for (;;) {
    std::size_t left = 0;
    auto const now = net::Reactor::clock();
    {
      WithoutGil const unlocked;
      // In slices, so that Ctrl-C is heard.
      left = (parts_->server->*wait)(std::min(deadline, now + base::milliseconds(50)));
    }
    if (PyErr_CheckSignals() < 0 || now >= deadline || parts_->server->connections() == 0)
      return left;
  }
}

base::Result<WorkUnderWay> Engine::under_way(std::size_t most, double seconds) {
  if (auto status = usable(); !status) return status;
  WorkUnderWay result;
  if (!parts_->is_running || !parts_->http) return result;
  server::UnderWay found;
  {
    WithoutGil const unlocked;
    found = parts_->http->under_way(most, deadline_in(seconds));
  }
  for (auto& [what, since] : found.oldest) {
    // A log takes lines of text, and a target may hold any byte above the controls.
    std::ranges::replace_if(
        what, [](char c) { return c < ' ' || c > '~'; }, '?');
    result.oldest.emplace_back(std::move(what), static_cast<double>(since) / 1e9);
  }
  result.silent_loops = found.silent_loops;
  return result;
}

base::Result<server::ConnectionReports> Engine::connections(std::size_t most, double seconds) {
  if (!usable())
    return base::failure(Errc::wrong_state, {},
                         "a handler keeps a loop that would have to answer: ask on another thread");
  if (!parts_->is_running) return server::ConnectionReports();
  WithoutGil const unlocked;
  return parts_->server->connection_reports(most, deadline_in(seconds));
}

base::Status Engine::stop_loops() {
  if (!parts_) return {};
  if (auto status = usable(); !status) return status;
  parts_->stop();
  return {};
}

void Engine::Parts::stop() {
  if (!server) return;
  {
    WithoutGil const unlocked;
    server->stop_accepting();
    server->stop_loops();
    if (asyncio) asyncio->stop_alone();
    if (watch) watch->stop();
  }
  if (asyncio) asyncio->abandon_calls();
  is_running = false;
  drop_now();
}

// Its workers are joined, and may want the GIL for their last steps.
void Engine::Parts::destroy_server() {
  {
    WithoutGil const unlocked;
    server = nullptr;
    tenant.reset();
    datagrams.reset();
  }
  drop_now();
}

Engine::~Engine() {
  auto& python = interpreter_state();
  std::erase(python.engines, this);
  if (!parts_) return;
  if (!is_thread_of(parts_.get())) {
    parts_->stop();
    parts_->destroy_server();
    return;
  }
  {
    std::lock_guard const guard(python.stopping.lock);
    ++python.stopping.count;
  }
  std::thread([parts = std::move(parts_), interpreter = PyInterpreterState_Get(),
               &stopping = python.stopping]() mutable {
    {
      ThreadState state(interpreter);
      state.take();
      parts->stop();
      parts->destroy_server();
      parts.reset();
      state.give();
    }
    std::lock_guard const guard(stopping.lock);
    if (--stopping.count == 0) stopping.none.notify_all();
  }).detach();
}

void Engine::stop_all() {
  auto& python = interpreter_state();
  auto& engines = python.engines;
  auto const all = engines;
  for (auto* engine : all)
    if (std::count(engines.begin(), engines.end(), engine) && engine->parts_)
      engine->parts_->stop();
  WithoutGil const unlocked;
  auto& s = python.stopping;
  std::unique_lock guard(s.lock);
  s.none.wait(guard, [&] { return s.count == 0; });
}

void Engine::forget_all() {
  // Leaked on purpose: there is nothing in them that a destructor could put right.
  auto& engines = interpreter_state().engines;
  for (auto* engine : engines) (void)engine->parts_.release();
  engines.clear();
  forget_all_calls();
}

PyObject* Engine::asyncio_loop() {
  if (!parts_) {
    PyErr_SetString(PyExc_RuntimeError, "the server belongs to the parent of this process");
    return nullptr;
  }
  auto const* const asyncio = parts_->need_asyncio();
  return asyncio ? asyncio->loop() : nullptr;
}

int Engine::traverse(visitproc visit, void* arg) const {
  if (!parts_) return 0;
  auto const& a = parts_->application;
  for (auto* object :
       {a.app.get(), a.on_exception.get(), a.on_background.get(), a.form_limits.get()})
    Py_VISIT(object);
  for (auto const& route : parts_->routes) Py_VISIT(route.target.get());
  Py_VISIT(parts_->target.get());
  return 0;
}

}  // namespace millrace::python
