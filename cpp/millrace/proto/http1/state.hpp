// The life of a message, as data.
#pragma once
#include <array>
#include <cstdint>
#include <optional>

namespace millrace::http1 {

// Of one direction of a connection. Both directions of both sides follow the same table, so that
// neither side is held to easier rules.
enum class State : std::uint8_t { idle, body, done, switched, closed };
inline constexpr std::size_t state_count = 5;

enum class Input : std::uint8_t {
  interim,    // a 1xx head: the final one is still to come
  head,       // the final head
  data,       // bytes of the body
  end,        // of the message
  next,       // both directions are done: the connection is free for the next exchange
  switch_to,  // both directions are done, and another protocol takes over
  close,      // an orderly end, between messages
  abort,      // an end wherever it comes
};
inline constexpr std::size_t input_count = 8;

struct Step {
  State from;
  Input input;
  State to;
};

inline constexpr std::array steps{
    Step{State::idle, Input::interim, State::idle},
    Step{State::idle, Input::head, State::body},
    Step{State::idle, Input::close, State::closed},
    Step{State::idle, Input::abort, State::closed},
    Step{State::body, Input::data, State::body},
    Step{State::body, Input::end, State::done},
    Step{State::body, Input::abort, State::closed},
    Step{State::done, Input::next, State::idle},
    Step{State::done, Input::switch_to, State::switched},
    Step{State::done, Input::close, State::closed},
    Step{State::done, Input::abort, State::closed},
    Step{State::closed, Input::abort, State::closed},
};

// The same, as a matrix to look up in; -1 where there is no step.
inline constexpr auto step_matrix = [] {
  std::array<std::array<std::int8_t, input_count>, state_count> matrix{};
  for (auto& row : matrix) row.fill(-1);
  for (auto const& step : steps)
    matrix[static_cast<std::size_t>(step.from)][static_cast<std::size_t>(step.input)] =
        static_cast<std::int8_t>(step.to);
  return matrix;
}();

constexpr std::optional<State> next(State from, Input input) {
  auto const to = step_matrix[static_cast<std::size_t>(from)][static_cast<std::size_t>(input)];
  if (to < 0) return std::nullopt;
  return static_cast<State>(to);
}
constexpr bool may(State from, Input input) { return next(from, input).has_value(); }

static_assert(!may(State::idle, Input::data), "a body needs a head first");
static_assert(!may(State::body, Input::close), "closing inside a body is an abort, not an end");
static_assert(!may(State::body, Input::interim), "no interim response behind the final one");
static_assert(!may(State::body, Input::head), "one message at a time");
static_assert(!may(State::idle, Input::switch_to), "a switch needs an exchange that asks for it");
static_assert(!may(State::switched, Input::abort), "what was handed over is no longer ours");

}  // namespace millrace::http1
