// What the bridge keeps of Python's objects between calls: one set per interpreter.
#pragma once
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "peer_tuples.hpp"
#include "ref.hpp"

#include "millrace/proto/http/head.hpp"

namespace millrace::conn {
class ClientLoop;
}

namespace millrace::python {

class Engine;
class FirstStep;
struct RequestObject;
struct RequestHeadersObject;

// Objects of one interpreter must never be seen by another that has a lock of its own. So nothing
// of Python's stands in a variable of the process; it stands here. The lock of the interpreter
// guards it, where nothing else is said.
struct InterpreterState {
  InterpreterState();
  ~InterpreterState();

  // Classes of ours; see add_types().
  struct Types {
    PyTypeObject *headers, *response, *request, *request_headers, *body_read, *body_stream,
        *answer_writer, *resume, *turn, *handle, *call_soon, *open_file, *watched_coroutine;
  } types{};

  // asyncio's, once the first loop was made; see prepare_tasks().
  PyTypeObject *task_type = nullptr, *handler_task_type = nullptr;
  PyObject* cancelled_error = nullptr;
  // First steps of coroutines under way, one per loop.
  FirstStep* innermost_step = nullptr;

  PyObject* host_module = nullptr;  // millrace._host, once it was needed

  // Interned, so that Python usually finds them by their address.
  struct Names {
    PyObject *loop, *context, *name, *create_future, *throw_in, *debug, *closed;
    std::array<PyObject*, 6> response_arguments;
    std::array<PyObject*, static_cast<std::size_t>(http::Method::other)> methods;
  } names{};

  // What nobody has kept or changed is as good as new.
  template <class Object, std::size_t capacity>
  struct Spare {
    std::array<Object*, capacity> objects;
    std::size_t count = 0;

    Object* take() { return count ? objects[--count] : nullptr; }
    bool keep(Object* object) {
      if (count == capacity) return false;
      objects[count++] = object;
      return true;
    }
  };
  Spare<RequestObject, 64> spare_requests;
  Spare<RequestHeadersObject, 16> spare_request_headers;  // their memory, no longer objects
  PyObject* spare_context = nullptr;
  PyObject* spare_task = nullptr;
  PeerTuples peer_tuples;

  // Every engine that was made here.
  std::vector<Engine*> engines;
  std::unique_ptr<conn::ClientLoop> client_loop;  // once a client needed it
  // Those that were dropped on one of their own threads and are being stopped on others. Any
  // thread.
  struct Stopping {
    std::mutex lock;
    std::condition_variable none;
    int count = 0;
  } stopping;

  // References to be dropped by whoever takes the interpreter's lock next; see drop_later(). Any
  // thread.
  struct Left {
    std::mutex lock;
    std::vector<PyObject*> objects;
    std::atomic<bool> any{false};
  } left;

  bool is_over = false;  // its interpreter is ending: nothing is kept any more
};

// Interpreters with a lock of their own are used from this version on: 3.12 has them too, and
// corrupts memory when one of them has imported asyncio.
#define MILLRACE_HAS_SUBINTERPRETERS (PY_VERSION_HEX >= 0x030D0000)

// When the module is loaded, before anything else; once per interpreter. False and an exception
// raised: no memory.
bool open_interpreter_state();

#if MILLRACE_HAS_SUBINTERPRETERS

// The interpreter that this thread saw last, so that a look at it is enough in general. Addresses
// of interpreters are used again: `endings` says how many had ended by then.
struct LastInterpreter {
  PyInterpreterState* interpreter = nullptr;
  InterpreterState* state = nullptr;
  std::uint64_t endings = 0;
};
// Of this model since a handler's call reads it several times; it is small enough for any process.
extern constinit thread_local LastInterpreter last_interpreter
    __attribute__((tls_model("initial-exec")));
extern std::atomic<std::uint64_t> interpreter_endings;
InterpreterState& find_interpreter_state();

// Of the interpreter that the calling thread is in. Its lock held.
inline InterpreterState& interpreter_state() {
  auto const& last = last_interpreter;
  if (last.interpreter == PyInterpreterState_Get() &&
      last.endings == interpreter_endings.load(std::memory_order_relaxed)) [[likely]]
    return *last.state;
  return find_interpreter_state();
}

// Of the interpreter that this thread was in last: for threads that have given the lock up.
inline InterpreterState& last_interpreter_state() { return *last_interpreter.state; }

// For a thread that may drop references of an interpreter whose lock it has not taken yet.
inline void belong_to(PyInterpreterState* interpreter, InterpreterState& state) {
  last_interpreter = {interpreter, &state, interpreter_endings.load()};
}

// It has ended: its state goes.
void forget_interpreter(std::int64_t id);

#else

extern InterpreterState* only_interpreter_state;
inline InterpreterState& interpreter_state() { return *only_interpreter_state; }
inline InterpreterState& last_interpreter_state() { return *only_interpreter_state; }
inline void belong_to(PyInterpreterState*, InterpreterState&) {}

#endif

}  // namespace millrace::python
