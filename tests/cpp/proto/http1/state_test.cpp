#include "millrace/proto/http1/state.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace millrace::http1 {
namespace {

constexpr std::array all_states{State::idle, State::body, State::done, State::switched,
                                State::closed};
constexpr std::array all_inputs{Input::interim, Input::head,      Input::data,  Input::end,
                                Input::next,    Input::switch_to, Input::close, Input::abort};
static_assert(all_states.size() == state_count && all_inputs.size() == input_count);

// One row per state, one column per input; '-' is what may not happen.
// Columns: interim head data end next switch_to close abort; the letter is the state that follows.
constexpr std::array<std::string_view, state_count> expected{
    "ib----cc",  // idle
    "--bd---c",  // body
    "----iscc",  // done
    "--------",  // switched
    "-------c",  // closed
};
constexpr std::string_view letters = "ibdsc";

TEST(StateTable, AllowsWhatTheMatrixSaysAndNothingElse) {
  for (auto const from : all_states)
    for (auto const input : all_inputs) {
      auto const to = next(from, input);
      char const got = to ? letters[static_cast<std::size_t>(*to)] : '-';
      EXPECT_EQ(got, expected[static_cast<std::size_t>(from)][static_cast<std::size_t>(input)])
          << "from " << static_cast<int>(from) << " with " << static_cast<int>(input);
      EXPECT_EQ(may(from, input), to.has_value());
    }
}

TEST(StateTable, HasEachStepOnce) {
  for (auto const& step : steps) {
    int count = 0;
    for (auto const& other : steps) count += step.from == other.from && step.input == other.input;
    EXPECT_EQ(count, 1);
  }
}

TEST(StateTable, LeadsEveryLivingStateToAnEnd) {
  for (auto const from : {State::idle, State::body, State::done})
    EXPECT_EQ(next(from, Input::abort), State::closed);
}

}  // namespace
}  // namespace millrace::http1
