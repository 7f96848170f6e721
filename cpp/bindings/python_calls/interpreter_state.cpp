#include "interpreter_state.hpp"

#include <algorithm>
#include <memory>
#include <string>

#include "request.hpp"

#include "millrace/conn/client_loop.hpp"

namespace millrace::python {
namespace {

bool make_names(InterpreterState::Names& names) {
  struct Row {
    PyObject** name;
    const char* text;
  };
  auto& arguments = names.response_arguments;
  for (auto const& row :
       {Row{&names.loop, "loop"}, Row{&names.context, "context"}, Row{&names.name, "name"},
        Row{&names.create_future, "create_future"}, Row{&names.throw_in, "throw"},
        Row{&names.debug, "_debug"}, Row{&names.closed, "_closed"}, Row{&arguments[0], "body"},
        Row{&arguments[1], "status"}, Row{&arguments[2], "headers"},
        Row{&arguments[3], "content_type"}, Row{&arguments[4], "background"},
        Row{&arguments[5], "trailers"}}) {
    *row.name = PyUnicode_InternFromString(row.text);
    if (!*row.name) return false;
  }
  for (std::size_t i = 0; i < names.methods.size(); ++i) {
    std::string const text(http::name_of(static_cast<http::Method>(i)));
    names.methods[i] = PyUnicode_InternFromString(text.c_str());
    if (!names.methods[i]) return false;
  }
  return true;
}

}  // namespace

InterpreterState::InterpreterState() = default;
InterpreterState::~InterpreterState() = default;

#if MILLRACE_HAS_SUBINTERPRETERS

constinit thread_local LastInterpreter last_interpreter;
std::atomic<std::uint64_t> interpreter_endings{0};

namespace {

// Of every interpreter that has loaded the module. Leaked, as the main interpreter's state is:
// threads may come by after the last destructor.
struct Registry {
  struct Row {
    std::int64_t id;  // never used again, unlike addresses
    std::unique_ptr<InterpreterState> state;
  };
  std::mutex lock;
  std::vector<Row> rows;
};
Registry& registry() {
  static auto* const all = new Registry;
  return *all;
}

// The references that a state holds, given back while its interpreter still works.
void close(InterpreterState& state) {
  state.is_over = true;
  interpreter_endings.fetch_add(1);  // the next interpreter may have its address
  auto& t = state.types;
  for (auto** type :
       {&t.headers, &t.response, &t.request, &t.request_headers, &t.body_read, &t.body_stream,
        &t.answer_writer, &t.resume, &t.turn, &t.handle, &t.call_soon, &t.open_file,
        &t.watched_coroutine, &state.task_type, &state.handler_task_type})
    Py_CLEAR(*type);
  for (auto** object :
       {&state.cancelled_error, &state.host_module, &state.spare_context, &state.spare_task,
        &state.names.loop, &state.names.context, &state.names.name, &state.names.create_future,
        &state.names.throw_in, &state.names.debug, &state.names.closed})
    Py_CLEAR(*object);
  for (auto*& name : state.names.response_arguments) Py_CLEAR(name);
  for (auto*& name : state.names.methods) Py_CLEAR(name);
  state.peer_tuples.clear();
  while (auto* const request = state.spare_requests.take()) Py_DECREF(as_object(request));
  while (auto* const headers = state.spare_request_headers.take()) PyObject_Free(headers);
}

}  // namespace

InterpreterState& find_interpreter_state() {
  auto* const interpreter = PyInterpreterState_Get();
  auto const id = PyInterpreterState_GetID(interpreter);
  auto& all = registry();
  std::lock_guard const guard(all.lock);
  auto const endings = interpreter_endings.load();
  for (auto const& row : all.rows) {
    if (row.id != id) continue;
    last_interpreter = {interpreter, row.state.get(), endings};
    return *row.state;
  }
  Py_FatalError("millrace._core is used where it was not loaded");
}

bool open_interpreter_state() {
  auto* const interpreter = PyInterpreterState_Get();
  auto made = std::make_unique<InterpreterState>();
  auto* const state = made.get();
  if (!make_names(state->names)) return false;
  {
    auto& all = registry();
    std::lock_guard const guard(all.lock);
    all.rows.push_back({PyInterpreterState_GetID(interpreter), std::move(made)});
  }
  if (interpreter == PyInterpreterState_Main()) return true;
  // The interpreter's own dict goes after its modules, when nothing of ours runs any more.
  Ref const end(PyCapsule_New(state, nullptr, [](PyObject* capsule) {
    close(*static_cast<InterpreterState*>(PyCapsule_GetPointer(capsule, nullptr)));
  }));
  auto* const dict = PyInterpreterState_GetDict(interpreter);
  return end && dict && PyDict_SetItemString(dict, "millrace._core", end.get()) == 0;
}

void forget_interpreter(std::int64_t id) {
  auto& all = registry();
  std::lock_guard const guard(all.lock);
  interpreter_endings.fetch_add(1);
  std::erase_if(all.rows, [id](auto const& row) { return row.id == id; });
}

#else

InterpreterState* only_interpreter_state = nullptr;

bool open_interpreter_state() {
  // Leaked: threads may come by after the last destructor.
  if (!only_interpreter_state) only_interpreter_state = new InterpreterState;
  return make_names(only_interpreter_state->names);
}

#endif

}  // namespace millrace::python
