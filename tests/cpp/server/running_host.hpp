// What the tests of the servers share: one that runs until the test ends, under any pattern.
#pragma once
#include <gtest/gtest.h>

#include <cctype>
#include <string>

#include "millrace/server/host.hpp"

namespace millrace::server {

// Listens, runs and drains the host of a server that outlives it.
class RunningHost {
 public:
  explicit RunningHost(Host& host) : host_(host) {
    EXPECT_TRUE(host_.listen());
    host_.run_loops();
    EXPECT_TRUE(host_.accept());
  }
  RunningHost(const RunningHost&) = delete;
  RunningHost& operator=(const RunningHost&) = delete;
  ~RunningHost() {
    host_.stop_accepting();
    host_.drain(net::Reactor::clock() + base::seconds(5));
    host_.stop_loops();
  }
  const net::Endpoint& at() const { return host_.endpoints().front(); }
  std::uint64_t total(trace::Counter trace::LoopCounters::*counter) const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < host_.loops().size(); ++i)
      sum += (host_.loops()[i].counters().*counter).get();
    return sum;
  }

 private:
  Host& host_;
};

// The name of a row of the table of patterns, as GoogleTest wants names.
inline std::string recipe_name(const ::testing::TestParamInfo<exec::Recipe>& info) {
  std::string name = info.param.name + "_" + std::to_string(info.index);
  for (auto& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

}  // namespace millrace::server
