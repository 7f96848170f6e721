// What every handler of a server shares, and what each route adds.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "interpreter_state.hpp"
#include "ref.hpp"

#include "millrace/exec/worker_queue.hpp"

namespace millrace::python {

class AsyncioHost;

// Lives as long as the server.
struct Application {
  InterpreterState& python = interpreter_state();
  Ref app;                             // request.app
  Ref on_exception;                    // (request, exception) -> answer; None: there is none
  Ref on_background;                   // (background) -> None
  Ref form_limits;                     // of request.form() without limits of its own
  std::size_t body_bytes = 0;          // read() of a longer body is 413
  exec::WorkerQueue* queue = nullptr;  // where handlers run on workers
  AsyncioHost* asyncio = nullptr;      // where there are coroutines
  // The same, started if need be. GIL held; null and an exception raised where asyncio fails.
  std::function<AsyncioHost*()> need_asyncio;
};

// A parameter of a route's path; its name as the str that all path_params of the route share.
struct PathParameter {
  enum class Kind : std::uint8_t { text, integer, real, uuid };
  Ref name;
  Kind kind = Kind::text;
};

// One row of the router. Lives as long as the server.
struct Route {
  const Application* application = nullptr;
  std::string pattern;
  Ref label;  // the pattern as a str: names the tasks
  std::vector<PathParameter> parameters;
  Ref target;
};

// The parameters of a pattern that the router has accepted.
std::vector<PathParameter> path_parameters(std::string_view pattern);

}  // namespace millrace::python
