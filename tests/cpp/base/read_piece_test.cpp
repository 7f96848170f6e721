#include "millrace/base/read_piece.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

namespace millrace::base {
namespace {

constexpr auto whole = PiecePool::piece_bytes;

void give_all(const std::vector<char*>& pieces) {
  for (auto* piece : pieces) PiecePool::give(piece);
}

// Leaves none kept, so that a test knows what it finds.
std::vector<char*> take_all_kept() {
  std::vector<char*> pieces;
  while (PiecePool::kept() > 0) pieces.push_back(PiecePool::take());
  return pieces;
}

TEST(PiecePool, GivesBackThePieceThatWasGivenLast) {
  auto* const first = PiecePool::take();
  auto* const second = PiecePool::take();
  PiecePool::give(first);
  PiecePool::give(second);
  EXPECT_EQ(PiecePool::take(), second);
  EXPECT_EQ(PiecePool::take(), first);
  give_all({first, second});
}

TEST(PiecePool, KeepsAsManyAsItsLimitAndNoMore) {
  auto pieces = take_all_kept();
  while (pieces.size() < PiecePool::kept_pieces + 1) pieces.push_back(PiecePool::take());
  EXPECT_EQ(PiecePool::kept(), 0U);
  auto* const last = pieces.back();
  pieces.pop_back();
  give_all(pieces);
  EXPECT_EQ(PiecePool::kept(), PiecePool::kept_pieces);
  PiecePool::give(last);
  EXPECT_EQ(PiecePool::kept(), PiecePool::kept_pieces);
}

TEST(PiecePool, KeepsWhatAnotherThreadGives) {
  auto const others = take_all_kept();
  auto* const piece = PiecePool::take();
  std::thread([piece] { PiecePool::give(piece); }).join();
  EXPECT_EQ(PiecePool::kept(), 1U);
  EXPECT_EQ(PiecePool::take(), piece);
  PiecePool::give(piece);
  give_all(others);
}

TEST(ReadPiece, IsTakenOverByBytesThatFillMostOfIt) {
  auto const room = ReadPiece::room();
  ASSERT_EQ(room.size(), whole);
  std::ranges::fill(room, 'a');
  auto const least =
      ReadPiece::keep({room.data() + whole - ReadPiece::keep_from, ReadPiece::keep_from});
  EXPECT_EQ(least.view().data(), room.data() + whole - ReadPiece::keep_from);

  auto const next = ReadPiece::room();
  EXPECT_NE(next.data(), room.data());
  std::ranges::fill(next, 'b');
  EXPECT_EQ(least.view(), std::string(ReadPiece::keep_from, 'a'));
}

TEST(ReadPiece, StaysWhereFewerBytesAreKept) {
  auto const room = ReadPiece::room();
  std::ranges::fill(room, 'a');
  auto const few = ReadPiece::keep({room.data(), ReadPiece::keep_from - 1});
  EXPECT_NE(few.view().data(), room.data());
  EXPECT_EQ(ReadPiece::room().data(), room.data());
  std::ranges::fill(room, 'b');
  EXPECT_EQ(few.view(), std::string(ReadPiece::keep_from - 1, 'a'));
}

TEST(ReadPiece, IsNotTakenOverByBytesOfSomewhereElse) {
  auto const room = ReadPiece::room();
  std::string const other(whole, 'x');
  auto const copy = ReadPiece::keep(other);
  EXPECT_NE(copy.view().data(), other.data());
  EXPECT_EQ(copy.view(), other);
  EXPECT_EQ(ReadPiece::room().data(), room.data());
}

TEST(ReadPiece, OfAnotherThreadIsCopied) {
  auto const room = ReadPiece::room();
  std::ranges::fill(room, 'a');
  std::thread([&] {
    auto const copy = ReadPiece::keep({room.data(), room.size()});
    EXPECT_NE(copy.view().data(), room.data());
  }).join();
  EXPECT_EQ(ReadPiece::room().data(), room.data());
}

TEST(ReadPiece, GoesBackToThePoolWithItsThread) {
  auto const others = take_all_kept();
  std::thread([] { (void)ReadPiece::room(); }).join();
  EXPECT_EQ(PiecePool::kept(), 1U);
  give_all(others);
}

}  // namespace
}  // namespace millrace::base
