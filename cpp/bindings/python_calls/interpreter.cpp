#include "interpreter.hpp"

#include <chrono>
#include <cstring>

#include "gil.hpp"
#include "interpreter_state.hpp"

namespace millrace::python {

#if MILLRACE_HAS_SUBINTERPRETERS

namespace {

// Static data of the run-time and of its own modules is set up and taken down without a lock, when
// interpreters come and go.
std::mutex one_at_a_time;

// A new one, entered. Null where there is no memory.
PyThreadState* enter_new_interpreter() {
  std::lock_guard const guard(one_at_a_time);
  // Made from the main interpreter, whose configuration it takes over.
  auto* const main = PyThreadState_New(PyInterpreterState_Main());
  PyEval_RestoreThread(main);
  PyInterpreterConfig config{};
  config.allow_threads = 1;
  config.check_multi_interp_extensions = 1;
  config.gil = PyInterpreterConfig_OWN_GIL;
  PyThreadState* made = nullptr;
  auto const status = Py_NewInterpreterFromConfig(&made, &config);
  if (PyStatus_Exception(status)) made = nullptr;
  if (made) PyEval_SaveThread();
  if (made) PyEval_RestoreThread(main);
  PyThreadState_Clear(main);
  PyThreadState_DeleteCurrent();
  if (made) PyEval_RestoreThread(made);
  return made;
}

void forget_thread() {
  Ref const name(PyUnicode_FromString("millrace._host"));
  Ref const host(name ? PyImport_GetModule(name.get()) : nullptr);  // if it was needed at all
  Ref const done(host ? PyObject_CallMethod(host.get(), "thread_ends", nullptr) : nullptr);
  PyErr_Clear();
}

void end_interpreter(PyThreadState* state) {
  PyEval_RestoreThread(state);
  // This thread's stand-in object in `threading` would go after what it needs for that.
  forget_thread();
  auto const id = PyInterpreterState_GetID(PyInterpreterState_Get());
  {
    std::lock_guard const guard(one_at_a_time);
    Py_EndInterpreter(state);
  }
  forget_interpreter(id);
}

bool set_path(const std::vector<std::string>& path) {
  Ref const list(PyList_New(0));
  for (auto const& folder : path) {
    Ref const text(PyUnicode_DecodeFSDefault(folder.c_str()));
    if (!list || !text || PyList_Append(list.get(), text.get()) < 0) return false;
  }
  return list && PySys_SetObject("path", list.get()) == 0;
}

std::string raised_text() {
  Ref const raised = take_raised();
  Ref const text(PyUnicode_FromFormat("%s: %S", Py_TYPE(raised.get())->tp_name, raised.get()));
  if (text) return std::string(utf8_of(text.get()));
  PyErr_Clear();
  return Py_TYPE(raised.get())->tp_name;
}

}  // namespace

base::Result<std::unique_ptr<Interpreter>> Interpreter::make(std::vector<std::string> path) {
  std::unique_ptr<Interpreter> made(new Interpreter(std::move(path)));
  auto& one = *made;
  bool has_failed = false;
  {
    WithoutGil const unlocked;
    one.thread_ = std::thread([&one] { one.live(); });
    std::unique_lock guard(one.lock_);
    one.changed_.wait(guard, [&] { return one.is_ready_; });
    has_failed = one.has_failed_;
  }
  if (has_failed)
    return base::Error{base::Errc::io_error, {}, "another interpreter cannot be made"};
  return made;
}

void Interpreter::live() {
  auto* const state = enter_new_interpreter();
  bool const is_usable = state && set_path(path_);
  if (state) PyEval_SaveThread();
  {
    std::lock_guard const guard(lock_);
    is_ready_ = true;
    has_failed_ = !is_usable;
  }
  changed_.notify_all();
  for (;;) {
    std::shared_ptr<Job> job;  // the caller is the other owner
    {
      std::unique_lock guard(lock_);
      changed_.wait(guard, [&] { return must_end_ || !jobs_.empty(); });
      if (jobs_.empty()) break;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    PyEval_RestoreThread(state);
    perform(*job);
    PyEval_SaveThread();
  }
  if (state) end_interpreter(state);
}

void Interpreter::perform(Job& job) {
  Ref const module(PyImport_ImportModule(job.module.c_str()));
  Ref const result(module ? PyObject_CallMethod(module.get(), job.function.c_str(), "y#",
                                                job.argument.data(),
                                                static_cast<Py_ssize_t>(job.argument.size()))
                          : nullptr);
  char* bytes = nullptr;
  Py_ssize_t size = 0;
  if (!result || PyBytes_AsStringAndSize(result.get(), &bytes, &size) < 0) {
    settle(job, false, raised_text());
  } else {
    settle(job, true, std::string(bytes, static_cast<std::size_t>(size)));
  }
}

void Interpreter::settle(Job& job, bool succeeded, std::string outcome) {
  {
    std::lock_guard const guard(lock_);
    job.succeeded = succeeded;
    job.outcome = std::move(outcome);
    job.is_done = true;
  }
  changed_.notify_all();
}

PyObject* Interpreter::call(std::string module, std::string function, std::string argument) {
  auto const job = std::make_shared<Job>();  // this thread and the interpreter's own it
  job->module = std::move(module);
  job->function = std::move(function);
  job->argument = std::move(argument);
  bool is_done = false;
  {
    std::lock_guard const guard(lock_);
    if (must_end_ || process_ != ::getpid()) {
      PyErr_SetString(PyExc_RuntimeError, "the interpreter has ended");
      return nullptr;
    }
    jobs_.push_back(job);
  }
  changed_.notify_all();
  while (!is_done) {
    {
      // In slices, so that Ctrl-C is heard.
      WithoutGil const unlocked;
      std::unique_lock guard(lock_);
      is_done =
          changed_.wait_for(guard, std::chrono::milliseconds(100), [&] { return job->is_done; });
    }
    if (PyErr_CheckSignals() < 0) return nullptr;
  }
  if (job->succeeded) return to_bytes(job->outcome);
  PyErr_SetString(PyExc_RuntimeError, job->outcome.c_str());
  return nullptr;
}

void Interpreter::end() {
  if (!thread_.joinable()) return;
  if (process_ != ::getpid()) {
    thread_.detach();
    return;
  }
  {
    std::lock_guard const guard(lock_);
    must_end_ = true;
  }
  changed_.notify_all();
  WithoutGil const unlocked;
  thread_.join();
}

#else

base::Result<std::unique_ptr<Interpreter>> Interpreter::make(std::vector<std::string>) {
  return base::Error{base::Errc::invalid_option, {}, "interpreters need Python 3.13 or later"};
}
PyObject* Interpreter::call(std::string, std::string, std::string) { return nullptr; }
void Interpreter::end() {}

#endif

}  // namespace millrace::python
