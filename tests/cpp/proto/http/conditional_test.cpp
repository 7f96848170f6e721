// RFC 9110 13: each field, each of its outcomes, and their order.
#include "millrace/proto/http/conditional.hpp"

#include <gtest/gtest.h>

#include "proto/http/requests.hpp"

namespace millrace::http {
namespace {

using test::head_of;
using enum Precondition;

// Modified on Sun, 06 Nov 1994 08:49:37 GMT.
constexpr std::int64_t modified = 784'111'777;
constexpr std::int64_t now = modified + 1000;
const Validators ours{EntityTag{"abc", false}, modified};
const Validators ours_weak{EntityTag{"abc", true}, modified};

const std::string before = "Sun, 06 Nov 1994 08:49:36 GMT\r\n";
const std::string same = "Sun, 06 Nov 1994 08:49:37 GMT\r\n";
const std::string after = "Sun, 06 Nov 1994 08:49:38 GMT\r\n";

struct Row {
  std::string fields;
  Precondition read;   // of GET and HEAD
  Precondition write;  // of others
};

void expect(const Row& row, const Validators& validators = ours) {
  for (auto const* method : {"GET", "HEAD"})
    EXPECT_EQ(evaluate(head_of(method, row.fields), validators, now), row.read)
        << method << ' ' << row.fields;
  for (auto const* method : {"POST", "PUT", "DELETE"})
    EXPECT_EQ(evaluate(head_of(method, row.fields), validators, now), row.write)
        << method << ' ' << row.fields;
}

TEST(Conditions, NoneHold) { expect({"", holds, holds}); }

// 13.1.1: strong comparison.
TEST(Conditions, IfMatchWantsOurTag) {
  expect({"If-Match: \"abc\"\r\n", holds, holds});
  expect({"If-Match: \"x\", \"abc\"\r\n", holds, holds});
  expect({"If-Match: \"x\"\r\nIf-Match: \"abc\"\r\n", holds, holds});
  expect({"If-Match: *\r\n", holds, holds});
  expect({"If-Match: \"abcd\"\r\n", fails, fails});
  expect({"If-Match: W/\"abc\"\r\n", fails, fails});
  expect({"If-Match: abc\r\n", fails, fails});
  expect({"If-Match: \"abc\"\r\n", fails, fails}, ours_weak);
  expect({"If-Match: *\r\n", holds, holds}, ours_weak);
}

// 13.1.2: weak comparison.
TEST(Conditions, IfNoneMatchWantsAnother) {
  expect({"If-None-Match: \"abc\"\r\n", not_modified, fails});
  expect({"If-None-Match: W/\"abc\"\r\n", not_modified, fails});
  expect({"If-None-Match: \"abc\"\r\n", not_modified, fails}, ours_weak);
  expect({"If-None-Match: \"x\" , ,W/\"y\", \"abc\"\r\n", not_modified, fails});
  expect({"If-None-Match: \"x\"\r\nIf-None-Match: \"abc\"\r\n", not_modified, fails});
  expect({"If-None-Match: *\r\n", not_modified, fails});
  expect({"If-None-Match: \"x\"\r\n", holds, holds});
  expect({"If-None-Match: abc\r\n", holds, holds});
  expect({"If-None-Match: \"a,\"abc\"\r\n", holds, holds});
  expect({"If-None-Match: w/\"abc\"\r\n", holds, holds});
  expect({"If-None-Match: \"ABC\"\r\n", holds, holds});
}

// A tag of the application's that is none matches nothing a client can send.
TEST(Conditions, WithoutATagOnlyTheStarMatches) {
  Validators const without{std::nullopt, modified};
  expect({"If-None-Match: \"\"\r\n", holds, holds}, without);
  expect({"If-None-Match: *\r\n", not_modified, fails}, without);
  expect({"If-Match: \"\"\r\n", fails, fails}, without);
  expect({"If-Match: *\r\n", holds, holds}, without);
  EXPECT_FALSE(range_counts(head_of("GET", "If-Range: \"\"\r\n"), without, now));
}

// 13.1.3: for GET and HEAD only; what is no date is ignored.
TEST(Conditions, IfModifiedSinceWantsALaterTime) {
  expect({"If-Modified-Since: " + before, holds, holds});
  expect({"If-Modified-Since: " + same, not_modified, holds});
  expect({"If-Modified-Since: " + after, not_modified, holds});
  expect({"If-Modified-Since: yesterday\r\n", holds, holds});
  expect({"If-Modified-Since: " + after + "If-Modified-Since: " + after, holds, holds});
  expect({"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n", not_modified, holds});
}

// 13.1.4
TEST(Conditions, IfUnmodifiedSinceWantsNoLaterTime) {
  expect({"If-Unmodified-Since: " + before, fails, fails});
  expect({"If-Unmodified-Since: " + same, holds, holds});
  expect({"If-Unmodified-Since: " + after, holds, holds});
  expect({"If-Unmodified-Since: never\r\n", holds, holds});
  expect({"If-Unmodified-Since: " + before + "if-unmodified-since: " + before, holds, holds});
}

// 13.2.2
TEST(Conditions, AreTakenInOrder) {
  // 1 before 2: a tag that fits makes the date irrelevant, one that does not decides.
  expect({"If-Match: \"abc\"\r\nIf-Unmodified-Since: " + before, holds, holds});
  expect({"If-Match: \"x\"\r\nIf-Unmodified-Since: " + after, fails, fails});
  // 3 before 4
  expect({"If-None-Match: \"x\"\r\nIf-Modified-Since: " + after, holds, holds});
  expect({"If-None-Match: \"abc\"\r\nIf-Modified-Since: " + before, not_modified, fails});
  // 1 and 2 before 3 and 4
  expect({"If-None-Match: \"abc\"\r\nIf-Match: \"x\"\r\n", fails, fails});
  expect({"If-Match: \"abc\"\r\nIf-None-Match: \"abc\"\r\n", not_modified, fails});
  expect({"If-Modified-Since: " + same + "If-Unmodified-Since: " + before, fails, fails});
  expect({"If-Unmodified-Since: " + same + "If-Modified-Since: " + same, not_modified, holds});
}

// Of each field: not there, and the ways in which it can hold or fail.
enum class Tag : std::uint8_t { absent, ours, weakly_ours, another, star, count_ };
enum class When : std::uint8_t { absent, earlier, same, later, no_date, count_ };

struct Combination {
  Tag match, none_match;
  When unmodified_since, modified_since;
};

std::string lines_of(const Combination& all) {
  auto const tag = [](const std::string& name, Tag what) {
    static const std::vector<std::string> texts{"", "\"abc\"", "W/\"abc\"", "\"x\"", "*"};
    auto const& text = texts[static_cast<std::size_t>(what)];
    return text.empty() ? "" : name + ": " + text + "\r\n";
  };
  auto const date = [](const std::string& name, When what) {
    static const std::vector<std::string> texts{"", before, same, after, "never\r\n"};
    auto const& text = texts[static_cast<std::size_t>(what)];
    return text.empty() ? "" : name + ": " + text;
  };
  return tag("If-Match", all.match) + tag("If-None-Match", all.none_match) +
         date("If-Unmodified-Since", all.unmodified_since) +
         date("If-Modified-Since", all.modified_since);
}

// The steps of 13.2.2, one by one.
Precondition by_the_steps(const Combination& all, bool is_read, bool is_weak) {
  if (all.match != Tag::absent) {  // 1; 13.1.1 compares strongly
    if (all.match != Tag::star && (all.match != Tag::ours || is_weak)) return fails;
  } else if (all.unmodified_since == When::earlier) {  // 2
    return fails;
  }
  if (all.none_match != Tag::absent) {  // 3; 13.1.2 compares weakly
    return all.none_match == Tag::another ? holds : is_read ? not_modified : fails;
  }
  // 4; a date may be that of the file or later
  bool const is_unmodified = all.modified_since == When::same || all.modified_since == When::later;
  return is_read && is_unmodified ? not_modified : holds;
}

// 13.2.2, as a whole matrix.
TEST(Conditions, TogetherComeToWhatTheStepsSay) {
  auto const tags = static_cast<int>(Tag::count_);
  auto const dates = static_cast<int>(When::count_);
  for (int i = 0; i < tags * tags * dates * dates; ++i) {
    Combination const all{static_cast<Tag>(i % tags), static_cast<Tag>(i / tags % tags),
                          static_cast<When>(i / tags / tags % dates),
                          static_cast<When>(i / tags / tags / dates)};
    auto const lines = lines_of(all);
    for (bool const is_weak : {false, true}) {
      auto const& validators = is_weak ? ours_weak : ours;
      for (auto const* method : {"GET", "HEAD"})
        ASSERT_EQ(evaluate(head_of(method, lines), validators, now),
                  by_the_steps(all, true, is_weak))
            << method << ' ' << lines;
      for (auto const* method : {"POST", "PUT", "DELETE", "PATCH"})
        ASSERT_EQ(evaluate(head_of(method, lines), validators, now),
                  by_the_steps(all, false, is_weak))
            << method << ' ' << lines;
      // 13.2.1: these neither select nor change anything.
      for (auto const* method : {"OPTIONS", "TRACE"})
        ASSERT_EQ(evaluate(head_of(method, lines), validators, now), holds) << method;
    }
  }
}

// 13.1.5
TEST(Conditions, IfRangeNamesExactlyWhatWeHave) {
  auto const counts = [](const std::string& line, const Validators& validators = ours,
                         std::int64_t at = now) {
    return range_counts(head_of("GET", line), validators, at);
  };
  EXPECT_TRUE(counts(""));
  EXPECT_TRUE(counts("If-Range: \"abc\"\r\n"));
  EXPECT_FALSE(counts("If-Range: \"x\"\r\n"));
  EXPECT_FALSE(counts("If-Range: W/\"abc\"\r\n"));
  EXPECT_FALSE(counts("If-Range: \"abc\"\r\n", ours_weak));
  EXPECT_FALSE(counts("If-Range: \"abc\", \"x\"\r\n"));
  EXPECT_FALSE(counts("If-Range: *\r\n"));
  EXPECT_FALSE(counts("If-Range: \"abc\"\r\nIf-Range: \"abc\"\r\n"));
  EXPECT_FALSE(counts("If-Range: " + same + "If-Range: " + same));
  EXPECT_TRUE(counts("If-Range: " + same));
  EXPECT_FALSE(counts("If-Range: " + before));
  EXPECT_FALSE(counts("If-Range: " + after));
  EXPECT_FALSE(counts("If-Range: whenever\r\n"));
  // Within its second a date is a weak validator (8.8.2.2).
  EXPECT_FALSE(counts("If-Range: " + same, ours, modified));
  EXPECT_TRUE(counts("If-Range: " + same, ours, modified + 1));
}

TEST(EntityTags, AreReadStrictly) {
  EXPECT_EQ(read_entity_tag("\"\"")->opaque, "");
  EXPECT_TRUE(read_entity_tag("W/\"a,b\"")->is_weak);
  for (auto const* text : {"", "a", "\"", "\"a", "a\"", "\"a\"b", "W\"a\"", "W/", "\"a b\"",
                           "\"a\tb\"", " \"a\"", "\"a\" "})
    EXPECT_FALSE(read_entity_tag(text)) << text;
}

// 8.8.3.2, its table.
TEST(EntityTags, CompareAsTheTableSays) {
  struct Pair {
    EntityTag one, two;
    bool strong, weak;
  };
  for (auto const& row :
       {Pair{{"1", true}, {"1", true}, false, true}, Pair{{"1", true}, {"2", true}, false, false},
        Pair{{"1", true}, {"1", false}, false, true},
        Pair{{"1", false}, {"1", false}, true, true}}) {
    EXPECT_EQ(are_equal(row.one, row.two, Comparison::strong), row.strong);
    EXPECT_EQ(are_equal(row.one, row.two, Comparison::weak), row.weak);
  }
}

}  // namespace
}  // namespace millrace::http
