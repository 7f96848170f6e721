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

std::string address_of(std::string_view stored) {
  net::Endpoint peer;
  std::memcpy(&peer.storage, stored.data(), stored.size());
  peer.size = static_cast<socklen_t>(stored.size());
  return peer.to_string();
}

}  // namespace

ThreadCalls::ThreadCalls(const void* engine)
    : engine_(engine), thread_(PyThread_get_thread_ident()) {}

void ThreadCalls::begin(const std::string& handler, Subject subject) {
  std::array<std::uint64_t, words> bytes{};
  auto const size = std::min(subject.bytes.size(), sizeof bytes);
  std::memcpy(bytes.data(), subject.bytes.data(), size);
  std::atomic_thread_fence(std::memory_order_release);  // behind the end of the last call
  state_.store(PyThreadState_Get(), std::memory_order_relaxed);
  handler_.store(&handler, std::memory_order_relaxed);
  for (std::size_t i = 0; i < words; ++i) subject_[i].store(bytes[i], std::memory_order_relaxed);
  subject_size_.store(size, std::memory_order_relaxed);
  subject_kind_.store(subject.kind, std::memory_order_relaxed);
  bump();
}

bool ThreadCalls::read(Call& into) const {
  auto const number = number_.load(std::memory_order_acquire);
  if (number % 2 == 0) return false;
  std::array<std::uint64_t, words> bytes{};
  for (std::size_t i = 0; i < words; ++i) bytes[i] = subject_[i].load(std::memory_order_relaxed);
  auto const size = subject_size_.load(std::memory_order_relaxed);
  auto const kind = subject_kind_.load(std::memory_order_relaxed);
  auto const* const handler = handler_.load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  if (number_.load(std::memory_order_relaxed) != number) return false;
  std::string what(reinterpret_cast<const char*>(bytes.data()), size);
  if (kind == Subject::Kind::peer) what = "peer " + address_of(what);
  into = {number, thread_, *handler, std::move(what)};
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

PyThreadState* state_within(const void* engine, const ThreadCalls::Call& call) {
  std::lock_guard const guard(all_threads().lock);
  for (auto const* calls : all_threads().list)
    if (calls->engine_ == engine && calls->thread_ == call.thread &&
        calls->number_.load(std::memory_order_acquire) == call.number)
      return calls->state_.load(std::memory_order_relaxed);
  return nullptr;
}

InHandler::InHandler(const std::string& handler, Subject subject)
    : calls_(own.calls && !own.calls->is_within() ? own.calls.get() : nullptr) {
  if (calls_) calls_->begin(handler, subject);
}

InHandler::InHandler(const Route& route, const conn::Exchange* exchange)
    : InHandler(route.pattern,
                {Subject::Kind::text, exchange ? exchange->summary() : base::ByteView{}}) {}

InHandler::InHandler(const std::string& handler, const net::Endpoint& peer)
    : InHandler(handler,
                {Subject::Kind::peer, {reinterpret_cast<const char*>(&peer.storage), peer.size}}) {}

}  // namespace millrace::python
