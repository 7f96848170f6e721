// What an engine tells about itself.
#include "engine_parts.hpp"

#include "millrace/trace/counter_rows.hpp"

namespace millrace::python {
namespace {

using trace::LoopCounters;

bool set(PyObject* dict, const char* name, Ref value) {
  return value && PyDict_SetItemString(dict, name, value.get()) == 0;
}
bool set(PyObject* dict, const char* name, std::uint64_t number) {
  return set(dict, name, Ref(PyLong_FromUnsignedLongLong(number)));
}

bool append(PyObject* list, Ref value) { return value && PyList_Append(list, value.get()) == 0; }

Ref loop_dict(const LoopCounters& counters) {
  Ref dict(PyDict_New());
  for (auto const& row : trace::loop_counter_rows)
    if (!dict || !set(dict.get(), row.name.data(), (counters.*row.counter).get())) return {};
  return dict;
}

Ref thread_dict(int id) {
  auto const switches = ThreadList::switches_of(id);
  Ref dict(PyDict_New());
  if (!dict || !set(dict.get(), "id", static_cast<std::uint64_t>(id)) ||
      !set(dict.get(), "voluntary", switches.voluntary) ||
      !set(dict.get(), "involuntary", switches.involuntary))
    return {};
  return dict;
}

Ref thread_list(const std::vector<int>& ids) {
  Ref list(PyList_New(0));
  for (auto const id : ids)
    if (!list || !append(list.get(), thread_dict(id))) return {};
  return list;
}

Ref queue_dict(const exec::WorkerQueue& queue) {
  auto const& counters = queue.counters();
  Ref dict(PyDict_New()), workers(PyList_New(0));
  if (!dict || !workers) return {};
  for (auto const handled : queue.handled_per_worker())
    if (!append(workers.get(), Ref(PyLong_FromUnsignedLongLong(handled)))) return {};
  auto* const d = dict.get();
  bool const is_complete =
      set(d, "depth", queue.depth()) && set(d, "dispatched", counters.dispatched.get()) &&
      set(d, "refused", counters.refused.get()) && set(d, "depth_max", counters.depth_max.get()) &&
      set(d, "wait_ns", counters.wait_ns.get()) && set(d, "wakeups", counters.wakeups.get()) &&
      set(d, "workers", std::move(workers));
  return is_complete ? std::move(dict) : Ref();
}

}  // namespace

PyObject* Engine::stats() const {
  Ref dict(PyDict_New()), loops(PyList_New(0)), threads(PyDict_New());
  if (!dict || !loops || !threads || !parts_) return dict.release();
  auto& p = *parts_;
  std::vector<int> loop_threads;
  for (std::size_t i = 0; i < p.server->loops().size(); ++i) {
    if (!append(loops.get(), loop_dict(p.server->loops()[i].counters()))) return nullptr;
    loop_threads.push_back(p.runner.thread_id(i));
  }
  auto const* queue = p.server->loops().queue();
  Ref queue_numbers = queue ? queue_dict(*queue) : Ref::borrow(Py_None);
  if (queue && queue_numbers &&
      !set(queue_numbers.get(), "capacity", p.server->recipe().queue_capacity))
    return nullptr;
  Ref asyncio = Ref::borrow(Py_None);
  if (p.asyncio) {
    asyncio = Ref(PyDict_New());
    if (!asyncio || !set(asyncio.get(), "waiting", p.asyncio->waiting())) return nullptr;
    if (p.asyncio->thread_id() &&
        !set(threads.get(), "asyncio", thread_list({p.asyncio->thread_id()})))
      return nullptr;
  }
  auto* const d = dict.get();
  if (p.http && !(set(d, "requests_waiting", p.http->admission().waiting()) &&
                  set(d, "requests_at_once", p.http->admission().limit()) &&
                  set(d, "bodies_waiting", p.http->body_memory().waiting()) &&
                  set(d, "body_bytes_held", p.http->body_memory().held())))
    return nullptr;
  bool const is_complete =
      set(d, "loops", std::move(loops)) && set(d, "queue", std::move(queue_numbers)) &&
      set(d, "connections", p.server->connections()) &&
      set(d, "in_flight", p.server->in_flight()) &&
      set(threads.get(), "loops", thread_list(loop_threads)) &&
      set(threads.get(), "workers", thread_list(p.worker_guard.threads().ids())) &&
      set(d, "threads", std::move(threads)) && set(d, "asyncio", std::move(asyncio));
  return is_complete ? dict.release() : nullptr;
}

std::vector<std::string> Engine::endpoints() const {
  std::vector<std::string> texts;
  if (!parts_) return texts;
  for (auto const& endpoint : parts_->server->endpoints()) texts.push_back(endpoint.to_string());
  return texts;
}

std::vector<int> Engine::ports() const {
  std::vector<int> numbers;
  if (!parts_) return numbers;
  for (auto const& endpoint : parts_->server->endpoints())
    if (endpoint.family() != AF_UNIX) numbers.push_back(endpoint.port());
  return numbers;
}

std::vector<server::SocketReport> Engine::socket_reports() const {
  return parts_ ? parts_->server->socket_reports() : std::vector<server::SocketReport>();
}

std::vector<server::QueueReport> Engine::accept_queues() const {
  return parts_ ? parts_->server->accept_queues() : std::vector<server::QueueReport>();
}

std::vector<server::ReceiveQueueReport> Engine::receive_queues() const {
  return parts_ ? parts_->server->receive_queues() : std::vector<server::ReceiveQueueReport>();
}

std::vector<int> Engine::listening_descriptors() const {
  return parts_ ? parts_->server->listening_descriptors() : std::vector<int>();
}

void Engine::leave_paths() {
  if (parts_) parts_->server->leave_paths();
}

}  // namespace millrace::python
