#include <algorithm>
#include <array>

#include "millrace/exec/pattern.hpp"

namespace millrace::exec {
namespace {

using enum Accept;
using enum Place;
using enum Run;
using net::Wakeup;

// More loops or workers than this are a mistake in a unit, not a wish: no machine of ours has that
// many cores, and each costs a thread.
constexpr std::size_t most_threads = 1024;

base::Status refused(const Recipe& recipe, std::string_view why) {
  auto detail = recipe.name.empty() ? std::string() : "pattern '" + recipe.name + "': ";
  return base::failure(base::Errc::invalid_option, {}, detail.append(why));
}

base::Status check_threads(const Recipe& recipe) {
  auto const most = std::to_string(most_threads);
  if (recipe.loops == 0) return refused(recipe, "loops is 0, but somebody has to read: at least 1");
  if (recipe.loops > most_threads)
    return refused(recipe, "loops is " + std::to_string(recipe.loops) + ", at most " + most);
  if (recipe.workers > most_threads)
    return refused(recipe, "workers is " + std::to_string(recipe.workers) + ", at most " + most);
  if (recipe.run == on_workers && recipe.workers == 0)
    return refused(recipe, "handlers run on workers, but workers is 0");
  if (recipe.run == on_workers && recipe.queue_capacity == 0)
    return refused(recipe, "queue_capacity is 0, so that every request would be refused");
  if (recipe.run == on_loop && recipe.workers > 0)
    return refused(recipe,
                   "workers is " + std::to_string(recipe.workers) +
                       ", but handlers run on the loops: set it to 0 or run them on workers");
  return {};
}

base::Status check_accept(const Recipe& recipe) {
  if (recipe.separate_acceptor && recipe.accept != one_loop)
    return refused(recipe,
                   "separate_acceptor is set, but every loop accepts: it needs accept = one_loop");
  if (recipe.separate_acceptor && recipe.place == accepting_loop)
    return refused(recipe,
                   "separate_acceptor is set, but place = accepting_loop would give that loop the "
                   "connections: choose round_robin or least_connections");
  if (recipe.accept == one_loop && recipe.place == accepting_loop && recipe.loops > 1)
    return refused(recipe,
                   "loops is " + std::to_string(recipe.loops) +
                       ", but one_loop with place = accepting_loop gives work to the first alone: "
                       "choose round_robin or least_connections");
  if (recipe.accept != shared_socket && recipe.wakeup != Wakeup::epoll)
    return refused(recipe, "wakeup is a choice of accept = shared_socket only: leave it at epoll");
  return {};
}

Recipe shared_acceptors(std::string name, Wakeup wakeup) {
  return {.name = std::move(name), .accept = shared_socket, .wakeup = wakeup, .loops = 4};
}

}  // namespace

base::Status check(const Recipe& recipe) {
  if (auto checked = check_threads(recipe); !checked) return checked;
  return check_accept(recipe);
}

std::span<const Recipe> recipes() {
  // Four of each where there is a choice: enough to show how load spreads, few enough for a small
  // machine.
  static const std::array table{
      Recipe{.name = "single_thread"},
      Recipe{
          .name = "acceptor_readers", .place = round_robin, .separate_acceptor = true, .loops = 4},
      Recipe{.name = "acceptor_queue_workers",
             .run = on_workers,
             .workers = 4,
             .queue_capacity = 1024},
      shared_acceptors("shared_acceptors", Wakeup::blocking),
      shared_acceptors("shared_acceptors:epoll", Wakeup::epoll),
      shared_acceptors("shared_acceptors:epoll_exclusive", Wakeup::epoll_exclusive),
      shared_acceptors("shared_acceptors:blocking", Wakeup::blocking),
      Recipe{.name = "reuseport_shards", .accept = socket_per_loop, .loops = 4},
  };
  return table;
}

const Recipe* find_recipe(std::string_view name) {
  auto const rows = recipes();
  auto const row = std::ranges::find(rows, name, &Recipe::name);
  return row == rows.end() ? nullptr : &*row;
}

}  // namespace millrace::exec
