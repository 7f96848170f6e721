#include "millrace/base/bytes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "millrace/base/byte_chain.hpp"

namespace millrace::base {
namespace {

// An owner that counts how often it was released.
Bytes counted(std::string_view text, int& releases) {
  return Bytes::owned(text, &releases, [](void* owner) { ++*static_cast<int*>(owner); });
}

TEST(Bytes, AreReleasedOnceByTheirLastHolder) {
  int releases = 0;
  {
    auto first = counted("abc", releases);
    auto second = std::move(first);
    EXPECT_TRUE(first.empty());
    second.remove_prefix(1);
    EXPECT_EQ(second.view(), "bc");
    EXPECT_EQ(releases, 0);
  }
  EXPECT_EQ(releases, 1);
  auto replaced = counted("x", releases);
  replaced = Bytes::copy_of("y");
  EXPECT_EQ(releases, 2);
}

TEST(Bytes, HoldCopiesAndStrings) {
  std::string text = "hello";
  auto const copy = Bytes::copy_of(text);
  auto const owned = Bytes::from(std::move(text));
  EXPECT_EQ(copy.view(), "hello");
  EXPECT_EQ(owned.view(), "hello");
  EXPECT_TRUE(Bytes::copy_of("").empty());
}

TEST(BlockPool, GivesBackTheBlockThatWasGivenLast) {
  auto* block = BlockPool::take();
  block->used = 7;
  BlockPool::give(block);
  auto* again = BlockPool::take();
  EXPECT_EQ(again, block);
  EXPECT_EQ(again->used, 0U);
  BlockPool::give(again);
}

TEST(ByteChain, CopiesSmallPiecesTogetherAndKeepsLargeOnes) {
  ByteChain chain;
  int releases = 0;
  auto const large = std::string(ByteChain::copy_below + 1, 'x');
  chain.append(ByteView("a"));
  chain.append(counted("b", releases));
  EXPECT_EQ(releases, 1);
  EXPECT_EQ(chain.segments(), 1U);
  chain.append(counted(large, releases));
  EXPECT_EQ(releases, 1);
  chain.append(ByteView("c"));
  EXPECT_EQ(chain.segments(), 3U);
  EXPECT_EQ(chain.to_string(), "ab" + large + "c");
  chain.clear();
  EXPECT_EQ(releases, 2);
  EXPECT_TRUE(chain.empty());
}

TEST(ByteChain, KeepsTextLongerThanABlockWhole) {
  for (std::size_t const size :
       {Block::capacity - 1, Block::capacity, Block::capacity + 1, 3 * Block::capacity}) {
    ByteChain chain;
    auto const text = std::string(size, 'x');
    chain.append(ByteView("head"));
    chain.append(ByteView(text));
    EXPECT_EQ(chain.size(), size + 4);
    EXPECT_EQ(chain.to_string(), "head" + text);
  }
}

TEST(ByteChain, IsConsumedAcrossSegments) {
  auto const large = std::string(3000, 'x');
  for (std::size_t n = 0; n <= 3007; n += 1) {
    ByteChain chain;
    chain.append(ByteView("abc"));
    chain.append(Bytes::from(large));
    chain.append(ByteView("defg"));
    chain.consume(n);
    ASSERT_EQ(chain.to_string(), ("abc" + large + "defg").substr(n));
    chain.append(ByteView("!"));
    ASSERT_EQ(chain.to_string(), ("abc" + large + "defg!").substr(n));
  }
}

TEST(ByteChain, GrowsInPlaceWhatWasReserved) {
  ByteChain chain;
  for (char c = 'a'; c <= 'c'; ++c) {
    *chain.reserve(100) = c;
    chain.commit(1);
  }
  EXPECT_EQ(chain.segments(), 1U);
  EXPECT_EQ(chain.to_string(), "abc");
  chain.reserve(Block::capacity);
  *chain.reserve(Block::capacity) = 'd';
  chain.commit(1);
  EXPECT_EQ(chain.to_string(), "abcd");
}

TEST(ByteChain, SplicesInOrder) {
  ByteChain from, to;
  from.append(ByteView("abc"));
  to.splice(from);
  EXPECT_TRUE(from.empty());
  from.append(ByteView("def"));
  to.splice(from);
  to.splice(from);
  from.append(ByteView("x"));
  to.append(ByteView("g"));
  EXPECT_EQ(to.to_string(), "abcdefg");
  EXPECT_EQ(to.size(), 7U);
  EXPECT_EQ(from.to_string(), "x");
}

FileSlice slice_of(std::uint64_t offset, std::uint64_t length, SharedDescriptor file = {}) {
  return {std::move(file), offset, length};
}

TEST(ByteChain, KeepsSlicesOfFilesBetweenBytes) {
  ByteChain chain;
  chain.append(ByteView("head"));
  chain.append(slice_of(10, 100));
  chain.append(slice_of(7, 0));
  chain.append(ByteView("tail"));
  EXPECT_EQ(chain.to_string(), "head[file 10+100]tail");
  EXPECT_EQ(chain.size(), 108U);
  ASSERT_EQ(chain.segments(), 3U);
  EXPECT_EQ(chain.file_at(0), nullptr);
  ASSERT_NE(chain.file_at(1), nullptr);
  EXPECT_TRUE(chain.at(1).empty());
  ByteChain other;
  other.append(ByteView("-"));
  other.splice(chain);
  EXPECT_EQ(other.to_string(), "-head[file 10+100]tail");
}

TEST(ByteChain, ConsumesSlicesOfFilesAsItConsumesBytes) {
  for (std::size_t n = 0; n < 12; ++n) {
    ByteChain chain;
    chain.append(ByteView("abc"));
    chain.append(slice_of(100, 5));
    chain.append(ByteView("defg"));
    chain.consume(n);
    auto const file =
        n <= 3   ? std::string("[file 100+5]")
        : n >= 8 ? std::string()
                 : "[file " + std::to_string(100 + n - 3) + '+' + std::to_string(5 - (n - 3)) + ']';
    EXPECT_EQ(chain.to_string(), std::string("abc").substr(std::min<std::size_t>(n, 3)) + file +
                                     std::string("defg").substr(n > 8 ? n - 8 : 0));
    EXPECT_EQ(chain.size(), 12 - n);
  }
}

TEST(ByteChain, LetsGoOfAFileWithItsLastSlice) {
  auto const file = std::make_shared<const int>(3);  // the other owner is the chain
  ByteChain chain;
  chain.append(slice_of(0, 5, file));
  chain.append(slice_of(9, 5, file));
  EXPECT_EQ(file.use_count(), 3);
  chain.consume(5);
  EXPECT_EQ(file.use_count(), 2);
  chain.clear();
  EXPECT_EQ(file.use_count(), 1);
}

}  // namespace
}  // namespace millrace::base
