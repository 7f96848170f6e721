#include <gtest/gtest.h>

#include <deque>
#include <thread>

#include "millrace/exec/pattern.hpp"

namespace millrace::exec {
namespace {

struct Owners {
  std::deque<net::Reactor> reactors;
  std::vector<net::Reactor*> pointers;
  explicit Owners(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) pointers.push_back(&reactors.emplace_back());
  }
  void arrive(std::size_t loop) {
    reactors[loop].counters().connections_opened.add();
    reactors[loop].counters().connections_open.add();
  }
  void leave(std::size_t loop) { reactors[loop].counters().connections_open.subtract(); }
};

std::vector<std::size_t> place_many(Placement& placement, std::size_t loops, int count) {
  std::vector<std::size_t> placed(loops);
  for (int i = 0; i < count; ++i) ++placed[placement.place(0)];
  return placed;
}

TEST(Placement, AcceptingLoopKeepsItsConnections) {
  Owners owners(3);
  auto const placement = make_placement(Place::accepting_loop, owners.pointers);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(placement->place(i), i);
}

TEST(Placement, RoundRobinTakesTurns) {
  Owners owners(3);
  auto const placement = make_placement(Place::round_robin, owners.pointers);
  EXPECT_EQ(place_many(*placement, 3, 9), (std::vector<std::size_t>{3, 3, 3}));
}

TEST(Placement, RoundRobinTakesTurnsAcrossAcceptingThreads) {
  Owners owners(4);
  auto const placement = make_placement(Place::round_robin, owners.pointers);
  std::vector<std::vector<std::size_t>> placed(2);
  std::vector<std::thread> threads;
  for (auto& mine : placed) threads.emplace_back([&] { mine = place_many(*placement, 4, 1000); });
  for (auto& thread : threads) thread.join();
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(placed[0][i] + placed[1][i], 500u);
}

TEST(Placement, LeastConnectionsChoosesTheEmptiestLoop) {
  Owners owners(3);
  auto const placement = make_placement(Place::least_connections, owners.pointers);
  for (int i = 0; i < 5; ++i) owners.arrive(0), owners.arrive(2);
  EXPECT_EQ(place_many(*placement, 3, 5), (std::vector<std::size_t>{0, 5, 0}));
}

// The counters of a loop move when a connection arrives there; a burst is placed before that.
TEST(Placement, LeastConnectionsCountsThoseUnderWay) {
  Owners owners(4);
  auto const placement = make_placement(Place::least_connections, owners.pointers);
  EXPECT_EQ(place_many(*placement, 4, 40), (std::vector<std::size_t>{10, 10, 10, 10}));
}

TEST(Placement, LeastConnectionsDoesNotCountAnArrivalTwice) {
  Owners owners(2);
  auto const placement = make_placement(Place::least_connections, owners.pointers);
  for (int i = 0; i < 10; ++i) owners.arrive(placement->place(0));
  for (int i = 0; i < 4; ++i) owners.leave(0);
  EXPECT_EQ(place_many(*placement, 2, 4), (std::vector<std::size_t>{4, 0}));
}

TEST(Placement, LeastConnectionsForgetsThoseThatNeverArrived) {
  Owners owners(2);
  auto const placement = make_placement(Place::least_connections, owners.pointers);
  place_many(*placement, 2, 20);  // all of them turned away, say
  for (int i = 0; i < 3; ++i)
    for (auto& reactor : owners.reactors) reactor.turn(0);
  owners.arrive(0);
  EXPECT_EQ(place_many(*placement, 2, 1), (std::vector<std::size_t>{0, 1}));
}

TEST(Placement, LeastConnectionsTakesTurnsAmongEquals) {
  Owners owners(3);
  auto const placement = make_placement(Place::least_connections, owners.pointers);
  std::vector<std::size_t> placed(3);
  for (int i = 0; i < 9; ++i) {
    auto const loop = placement->place(0);
    ++placed[loop];
    owners.arrive(loop);
    owners.leave(loop);
  }
  EXPECT_EQ(placed, (std::vector<std::size_t>{3, 3, 3}));
}

}  // namespace
}  // namespace millrace::exec
