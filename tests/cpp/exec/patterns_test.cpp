#include <gtest/gtest.h>

#include <set>

#include "millrace/exec/pattern.hpp"

namespace millrace::exec {
namespace {

TEST(Recipes, EveryRowIsSound) {
  for (auto const& recipe : recipes()) {
    auto const checked = check(recipe);
    EXPECT_TRUE(checked) << checked.error().message();
  }
}

TEST(Recipes, NamesAreUniqueAndFound) {
  std::set<std::string> names;
  for (auto const& recipe : recipes()) {
    EXPECT_TRUE(names.insert(recipe.name).second) << recipe.name;
    EXPECT_EQ(find_recipe(recipe.name), &recipe);
  }
  EXPECT_EQ(find_recipe("no_such_pattern"), nullptr);
}

TEST(Recipes, HoldThePatternsOfOneProcess) {
  auto const single = find_recipe("single_thread");
  ASSERT_TRUE(single);
  EXPECT_EQ(single->loops, 1u);
  EXPECT_EQ(single->run, Run::on_loop);

  auto const readers = find_recipe("acceptor_readers");
  ASSERT_TRUE(readers);
  EXPECT_TRUE(readers->separate_acceptor);
  EXPECT_EQ(readers->place, Place::round_robin);
  EXPECT_EQ(readers->loops, 4u);

  auto const workers = find_recipe("acceptor_queue_workers");
  ASSERT_TRUE(workers);
  EXPECT_EQ(workers->run, Run::on_workers);
  EXPECT_EQ(workers->loops, 1u);
  EXPECT_EQ(workers->workers, 4u);
  EXPECT_EQ(workers->queue_capacity, 1024u);

  auto const shards = find_recipe("reuseport_shards");
  ASSERT_TRUE(shards);
  EXPECT_EQ(shards->accept, Accept::socket_per_loop);
}

TEST(Recipes, SharedAcceptorsHaveARowForEachWakeUp) {
  std::set<net::Wakeup> wakeups;
  for (auto const& recipe : recipes())
    if (recipe.name.starts_with("shared_acceptors:")) wakeups.insert(recipe.wakeup);
  EXPECT_EQ(wakeups.size(), 3u);
  EXPECT_EQ(find_recipe("shared_acceptors")->wakeup, net::Wakeup::blocking);
}

struct Contradiction {
  const char* option;  // what the sentence must name
  Recipe recipe;
};

class Contradictions : public ::testing::TestWithParam<Contradiction> {};
INSTANTIATE_TEST_SUITE_P(
    Recipes, Contradictions,
    ::testing::Values(Contradiction{"loops", {.loops = 0}},
                      Contradiction{"loops", {.place = Place::round_robin, .loops = 1025}},
                      Contradiction{"workers", {.run = Run::on_workers, .workers = 0}},
                      Contradiction{"workers", {.run = Run::on_workers, .workers = 1025}},
                      Contradiction{"queue_capacity",
                                    {.run = Run::on_workers, .workers = 1, .queue_capacity = 0}},
                      Contradiction{"workers", {.run = Run::on_loop, .workers = 2}},
                      Contradiction{"separate_acceptor",
                                    {.accept = Accept::shared_socket,
                                     .place = Place::round_robin,
                                     .separate_acceptor = true}},
                      Contradiction{"separate_acceptor", {.separate_acceptor = true, .loops = 2}},
                      Contradiction{"place", {.loops = 2}},
                      Contradiction{"wakeup", {.wakeup = net::Wakeup::blocking}}));

TEST_P(Contradictions, AreRefusedWithASentenceThatNamesTheOption) {
  auto recipe = GetParam().recipe;
  recipe.name = "mine";
  auto const checked = check(recipe);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, base::Errc::invalid_option);
  EXPECT_NE(checked.error().detail.find(GetParam().option), std::string::npos)
      << checked.error().detail;
  EXPECT_NE(checked.error().detail.find("'mine'"), std::string::npos) << checked.error().detail;
}

TEST(InlineDispatch, RunsTheWorkAtOnce) {
  auto const dispatch = make_inline_dispatch();
  int ran = 0;
  ASSERT_TRUE(dispatch->dispatch({&ran, [](void* subject) { ++*static_cast<int*>(subject); }}));
  EXPECT_EQ(ran, 1);
  dispatch->end_of_turn();
  dispatch->stop();
}

}  // namespace
}  // namespace millrace::exec
