#include "calls_now.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>

#include "ref.hpp"
#include "route.hpp"

namespace millrace::python {
namespace {

struct AllThreads {
  std::mutex lock;
  std::vector<ThreadCalls*> list;
};
AllThreads*& known_threads() {
  static auto* all = new AllThreads;  // threads may end behind the end of main
  return all;
}
AllThreads& all_threads() { return *known_threads(); }

struct OwnCalls {
  std::unique_ptr<ThreadCalls> calls;
  ~OwnCalls() {
    if (!calls) return;
    std::lock_guard const guard(all_threads().lock);
    std::erase(all_threads().list, calls.get());
  }
};
thread_local OwnCalls own;

}  // namespace

ThreadCalls::ThreadCalls(const void* engine)
    : engine_(engine), thread_(PyThread_get_thread_ident()) {}

void ThreadCalls::begin(const Route& route, const conn::Exchange* exchange) {
  std::array<std::uint64_t, words> text{};
  auto const summary = exchange ? exchange->summary() : base::ByteView{};
  std::memcpy(text.data(), summary.data(), summary.size());
  std::atomic_thread_fence(std::memory_order_release);  // behind the end of the last call
  route_.store(&route, std::memory_order_relaxed);
  for (std::size_t i = 0; i < words; ++i) summary_[i].store(text[i], std::memory_order_relaxed);
  summary_size_.store(summary.size(), std::memory_order_relaxed);
  bump();
}

bool ThreadCalls::read(Call& into) const {
  auto const number = number_.load(std::memory_order_acquire);
  if (number % 2 == 0) return false;
  std::array<std::uint64_t, words> text{};
  for (std::size_t i = 0; i < words; ++i) text[i] = summary_[i].load(std::memory_order_relaxed);
  auto const size = summary_size_.load(std::memory_order_relaxed);
  auto const* const route = route_.load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  if (number_.load(std::memory_order_relaxed) != number) return false;
  into = {number, thread_, route->pattern,
          std::string(reinterpret_cast<const char*>(text.data()), size)};
  return true;
}

void watch_calls_of_this_thread(const void* engine) {
  if (own.calls) return;
  own.calls = std::make_unique<ThreadCalls>(engine);
  std::lock_guard const guard(all_threads().lock);
  all_threads().list.push_back(own.calls.get());
}

void forget_all_calls() { known_threads() = new AllThreads; }

std::vector<ThreadCalls::Call> calls_now(const void* engine) {
  std::vector<ThreadCalls::Call> found;
  std::lock_guard const guard(all_threads().lock);
  for (auto const* calls : all_threads().list) {
    ThreadCalls::Call one;
    if (calls->engine_ == engine && calls->read(one)) found.push_back(std::move(one));
  }
  return found;
}

InHandler::InHandler(const Route& route, const conn::Exchange* exchange)
    : calls_(own.calls && !own.calls->is_within() ? own.calls.get() : nullptr) {
  if (calls_) calls_->begin(route, exchange);
}

}  // namespace millrace::python
