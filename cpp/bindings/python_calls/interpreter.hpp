// Another interpreter of this process, with a lock of its own.
#pragma once
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "ref.hpp"

#include "millrace/base/error.hpp"

namespace millrace::python {

// It lives on a thread of its own, which calls functions in it one after the other; what they start
// there has its own threads. Python 3.13 and later. Made, used and destroyed with the GIL of
// another interpreter held, which is given up while they wait.
class Interpreter {
 public:
  // Its sys.path is the one given.
  static base::Result<std::unique_ptr<Interpreter>> make(std::vector<std::string> path);
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;
  ~Interpreter() { end(); }

  // Calls a function of a module there, which takes bytes and returns bytes. Null and an exception
  // raised: RuntimeError with the text of what it raised, or what a signal's handler raised here.
  PyObject* call(std::string module, std::string function, std::string argument);
  // Leaves it as a program ends: its threads are waited for, its atexit functions called.
  void end();

 private:
  struct Job {
    std::string module, function, argument;
    bool is_done = false, succeeded = false;
    std::string outcome;
  };
  explicit Interpreter(std::vector<std::string> path) : path_(std::move(path)) {}
  void live();
  void work();
  void perform(Job& job);
  void settle(Job& job, bool succeeded, std::string outcome);

  std::vector<std::string> path_;
  pid_t process_ = ::getpid();  // the child of a fork has no such thread
  std::mutex lock_;
  std::condition_variable changed_;
  // Shared with the caller, who may have been called away by a signal when it is done.
  std::deque<std::shared_ptr<Job>> jobs_;
  bool is_ready_ = false, has_failed_ = false, must_end_ = false;
  std::thread thread_;
};

}  // namespace millrace::python
