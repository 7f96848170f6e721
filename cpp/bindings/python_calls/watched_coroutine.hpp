// A coroutine whose steps count as a handler's, for whoever watches that none keeps its thread.
#pragma once
#include <string>

#include "ref.hpp"

#include "millrace/net/endpoint.hpp"

namespace millrace::python {

PyTypeObject* make_watched_coroutine_type();
// Stands for the coroutine in a task. The handler's name lives as long as the engine whose threads
// step it. Null and an exception raised: no memory. GIL held.
PyObject* new_watched_coroutine(Ref coroutine, const std::string& handler,
                                const net::Endpoint& peer);

}  // namespace millrace::python
