// Fields, statuses, dates: the words every version shares.
#include <gtest/gtest.h>

#include <string>

#include "millrace/proto/http/limits.hpp"
#include "millrace/proto/http/message.hpp"
#include "millrace/proto/http/status.hpp"

namespace millrace::http {
namespace {

TEST(FieldNames, AreIdentifiedInAnyLetterCase) {
  EXPECT_EQ(identify("Host"), FieldId::host);
  EXPECT_EQ(identify("cOnTeNt-LeNgTh"), FieldId::content_length);
  EXPECT_EQ(identify("TRANSFER-ENCODING"), FieldId::transfer_encoding);
  for (auto const* name : {"connection", "keep-alive", "expect", "upgrade", "date", "trailer", "te",
                           "content-type", "server"})
    EXPECT_NE(identify(name), FieldId::other) << name;
  for (auto const* name : {"", "hos", "hosts", "content_length", "x", "content-lengti"})
    EXPECT_EQ(identify(name), FieldId::other) << name;
}

TEST(Tokens, AreWhatTheGrammarSays) {
  for (int c = 0; c < 256; ++c) {
    auto const byte = static_cast<char>(c);
    bool const is_alphanumeric =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    bool const is_mark =
        c != 0 && std::string_view("!#$%&'*+-.^_`|~").find(byte) != std::string_view::npos;
    EXPECT_EQ(is_token({&byte, 1}), is_alphanumeric || is_mark) << c;
    EXPECT_EQ(is_field_value({&byte, 1}), (c >= 0x20 && c != 0x7f) || c == '\t') << c;
  }
  EXPECT_FALSE(is_token(""));
  EXPECT_TRUE(is_field_value(""));
}

TEST(Lists, AreSearchedMemberByMember) {
  EXPECT_TRUE(list_contains("close", "close"));
  EXPECT_TRUE(list_contains("a,\t Close ,b", "close"));
  EXPECT_FALSE(list_contains("closed", "close"));
  EXPECT_FALSE(list_contains("a close", "close"));
  EXPECT_FALSE(list_contains("", "close"));
}

TEST(Fields, AreKeptInOrderAsHttp1Text) {
  Fields fields{{"A", "1"}, {"Set-Cookie", "x"}, {"set-cookie", "y"}};
  EXPECT_EQ(fields.http1_text(), "A: 1\r\nSet-Cookie: x\r\nset-cookie: y\r\n");
  EXPECT_EQ(fields.size(), 3U);
  EXPECT_EQ(fields.name(2), "set-cookie");
  EXPECT_EQ(fields.value(2), "y");
  EXPECT_EQ(fields.find("set-cookie"), "x");
  EXPECT_EQ(fields.find("b"), std::nullopt);
}

TEST(Fields, ForgetWhatIsRemoved) {
  Fields fields{{"Date", "x"}, {"A", "1"}, {"date", "y"}};
  EXPECT_TRUE(fields.holds(FieldId::date));
  fields.remove(FieldId::date);
  EXPECT_EQ(fields.http1_text(), "A: 1\r\n");
  EXPECT_FALSE(fields.holds(FieldId::date));
  EXPECT_EQ(fields.find(FieldId::date), std::nullopt);
  fields.remove(FieldId::host);
  EXPECT_EQ(fields.size(), 1U);
}

TEST(Fields, RefuseWhatWouldSplitAMessage) {
  Fields fields;
  EXPECT_TRUE(fields.add_checked("a", " b "));
  EXPECT_EQ(fields.http1_text(), "a: b\r\n");
  using namespace std::string_literals;
  for (auto const& value : {"b\r\nc: d"s, "b\n"s, "b\r"s, "b\0"s, "\x7f"s}) {
    auto const status = fields.add_checked("a", value);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, base::Errc::invalid_field);
  }
  for (auto const& name : {""s, "a b"s, "a:"s, "a\r\n"s, "\xc3\xa9"s})
    EXPECT_FALSE(fields.add_checked(name, "x")) << name;
  EXPECT_EQ(fields.size(), 1U);
}

TEST(Methods, KnowTheirNamesAndNoOthers) {
  for (auto const method : {Method::get, Method::head, Method::post, Method::put, Method::delete_,
                            Method::connect, Method::options, Method::trace, Method::patch})
    EXPECT_EQ(method_named(name_of(method)), method);
  EXPECT_EQ(method_named("get"), Method::other);
  EXPECT_EQ(method_named("PROPFIND"), Method::other);
  EXPECT_EQ(method_named(""), Method::other);
}

TEST(Statuses, HaveTheReasonOfTheirRow) {
  EXPECT_EQ(reason_phrase(200), "OK");
  EXPECT_EQ(reason_phrase(431), "Request Header Fields Too Large");
  EXPECT_EQ(reason_phrase(299), "");
  EXPECT_EQ(reason_phrase(0), "");
  EXPECT_EQ(reason_phrase(65535), "");
  for (std::size_t i = 1; i < status_rows.size(); ++i)
    EXPECT_LT(status_rows[i - 1].status, status_rows[i].status);
}

TEST(Statuses, AreKnownForEveryKindOfError) {
  for (auto const& row : base::error_table()) {
    auto const status = status_for(row.code);
    EXPECT_GE(status, 400) << row.name;
    EXPECT_NE(reason_phrase(status), "") << row.name;
  }
  EXPECT_EQ(status_for(base::Errc::bad_host), 400);
  EXPECT_EQ(status_for(base::Errc::overloaded), 503);
  EXPECT_EQ(status_for(base::Errc::body_too_large), 413);
}

std::string date_at(std::int64_t seconds) {
  DateField date;
  date.write(seconds);
  return {date.text, date.size};
}

TEST(DateField, HasTheFixedForm) {
  EXPECT_EQ(date_at(0), "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
  EXPECT_EQ(date_at(784111777),
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");  // RFC 9110 5.6.7's example
  EXPECT_EQ(date_at(951782400), "Date: Tue, 29 Feb 2000 00:00:00 GMT\r\n");
  EXPECT_EQ(date_at(4107542399), "Date: Sun, 28 Feb 2100 23:59:59 GMT\r\n");
  EXPECT_EQ(date_at(4107542400), "Date: Mon, 01 Mar 2100 00:00:00 GMT\r\n");
}

TEST(HeadPool, GivesBackClearedBlocks) {
  auto* block = HeadPool::take();
  block->bytes = "x";
  block->fields.push_back({});
  block->content_length = 3;
  block->has_body = true;
  HeadPool::give(block);
  HeadBlockPtr const again(HeadPool::take());
  EXPECT_EQ(again.get(), block);
  EXPECT_TRUE(again->bytes.empty());
  EXPECT_TRUE(again->fields.empty());
  EXPECT_FALSE(again->content_length);
  EXPECT_FALSE(again->has_body);
}

TEST(HeadPool, KeepsNoBlockThatOneLargeHeadHasGrown) {
  HeadBlockPtr large(HeadPool::take());
  large->bytes.resize(HeadPool::kept_bytes + 1);
  large.reset();
  HeadBlockPtr const next(HeadPool::take());
  EXPECT_LE(next->bytes.capacity(), HeadPool::kept_bytes);
}

}  // namespace
}  // namespace millrace::http
