// What an engine consists of, in the order in which it is built.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "asyncio_host.hpp"
#include "datagram_handler.hpp"
#include "engine.hpp"
#include "handler_watch.hpp"
#include "route.hpp"
#include "stream_handlers.hpp"
#include "threads.hpp"

namespace millrace::python {

struct Engine::Parts {
  explicit Parts(const exec::Recipe& recipe)
      : runner(this, recipe.loops + (recipe.separate_acceptor ? 1 : 0)), worker_guard(this) {}

  Application application;
  std::deque<Route> routes;
  std::vector<std::unique_ptr<server::Handler>> handlers;
  LoopRunner runner;
  WorkerGuard worker_guard;
  std::unique_ptr<AsyncioHost> asyncio;              // outlives the exchanges that its calls answer
  std::vector<observe::RequestRecorder*> recorders;  // the server's, one per loop
  Ref target;                                        // of plain TCP and UDP
  std::string target_name;                           // for people, once it listens
  base::Duration handler_stuck = 0;                  // 0: nobody watches
  std::unique_ptr<HandlerWatch> watch;
  std::unique_ptr<server::StreamHandler> stream_handler;      // of plain TCP
  std::unique_ptr<server::DatagramHandler> datagram_handler;  // of UDP
  std::unique_ptr<server::Tenant> tenant;
  std::unique_ptr<server::DatagramServer> datagrams;
  server::Service* server = nullptr;  // the tenant's host, or that of UDP
  server::Server* http = nullptr;     // the tenant, where that is what it speaks
  bool has_functions = false, has_coroutines = false;
  bool is_running = false;
  bool asyncio_is_alone = false;  // on a thread of its own

  // Made, and where the loops run already, started, if need be.
  AsyncioHost* need_asyncio();
  void serve(std::unique_ptr<server::Tenant> made) {
    tenant = std::move(made);
    server = &tenant->host();
  }
  // Before the server is made, as that starts its workers.
  void set_worker_guard() { worker_guard.set(has_functions ? Runs::python : Runs::native); }
  void name_target();
  void watch_handlers();
  base::Status add(const RouteRow& row, server::Router& router, MakeHandler make_other);
  observe::Metrics metrics();
  observe::JourneySnapshot journey() const;
  bool runs_handlers_on_loops() const { return server->recipe().run == exec::Run::on_loop; }
  // GIL held, given up while waiting.
  void stop();
  void destroy_server();
};

}  // namespace millrace::python
