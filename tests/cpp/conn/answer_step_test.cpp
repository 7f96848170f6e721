// Filters' words on answers, and their steps between a handler and the codec.
#include "millrace/conn/answer_step.hpp"

#include "bench_of_one_connection.hpp"

namespace millrace::conn {
namespace {

using AnswerSteps = OneConnection;

std::string text_of(const base::Bytes& bytes) { return std::string(bytes.view()); }

// Puts a letter behind every piece of a body, and one more piece before its end.
class Signs final : public AnswerStep {
 public:
  explicit Signs(char letter) : letter_(letter) {}
  void take(Exchange& exchange, http::Part&& part) override {
    if (auto* message = std::get_if<http::ResponseMessage>(&part)) {
      message->body = base::Bytes::from(text_of(message->body) + letter_);
    } else if (auto* data = std::get_if<http::Data>(&part)) {
      data->bytes = base::Bytes::from(text_of(data->bytes) + letter_);
    } else if (std::holds_alternative<http::End>(part)) {
      pass_on(exchange, http::Data{base::Bytes::from(std::string("end") + letter_)});
    }
    pass_on(exchange, std::move(part));
  }

 private:
  char letter_;
};

// Keeps the body back until its end is there.
class Gathers final : public AnswerStep {
 public:
  void take(Exchange& exchange, http::Part&& part) override {
    if (auto* head = std::get_if<http::ResponseHead>(&part)) {
      head_ = std::move(*head);
    } else if (auto* data = std::get_if<http::Data>(&part)) {
      body_ += data->bytes.view();
    } else if (std::holds_alternative<http::End>(part)) {
      pass_on(exchange,
              http::ResponseMessage{std::move(head_), base::Bytes::from(std::move(body_))});
    } else {
      pass_on(exchange, std::move(part));
    }
  }

 private:
  http::ResponseHead head_;
  std::string body_;
};

TEST_F(AnswerSteps, TheFilterNearestToTheHandlerIsAskedFirst) {
  service.exchange = [](Exchange& x) {
    x.filtered().add_step(std::make_unique<Signs>('o'));  // the outer filter
    x.filtered().add_step(std::make_unique<Signs>('i'));
    x.reply({}, base::Bytes::borrowed("body-"));
  };
  serve_http1();
  peer->says("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(peer->heard.ends_with("\r\n\r\nbody-io")) << peer->heard;
  EXPECT_NE(peer->heard.find("Content-Length: 7\r\n"), std::string::npos);
}

TEST_F(AnswerSteps, PartsMayBecomeMoreOrFewer) {
  service.exchange = [](Exchange& x) {
    x.filtered().add_step(std::make_unique<Gathers>());
    x.filtered().add_step(std::make_unique<Signs>('s'));
    x.start({});
    EXPECT_TRUE(x.write(base::Bytes::borrowed("one")));
    EXPECT_TRUE(x.write(base::Bytes::borrowed("two")));
    x.finish();
  };
  serve_http1();
  peer->says("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(peer->heard.ends_with("\r\n\r\nonestwosends")) << peer->heard;
  EXPECT_NE(peer->heard.find("Content-Length: 12\r\n"), std::string::npos);
  EXPECT_EQ(service.done, 1);
}

TEST_F(AnswerSteps, AnAnswerThatFailsIsStillDressed) {
  service.exchange = [](Exchange& x) {
    x.filtered().add_step(std::make_unique<Gathers>());
    x.filtered().defaults.add("X-Default", "filter");
    x.fail(base::Error{base::Errc::io_error, {}, {}});
  };
  serve_http1();
  peer->says("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 500 ")) << peer->heard;
  EXPECT_NE(peer->heard.find("X-Default: filter\r\n"), std::string::npos);
}

TEST_F(AnswerSteps, DefaultsGiveWayAndAdditionsDoNot) {
  static const http::Fields preset{{"X-Preset", "handler"}};
  service.exchange = [](Exchange& x) {
    for (auto const* name : {"X-Preset", "x-own", "X-New"})
      x.filtered().defaults.add(name, "filter");
    x.filtered().additions.add("Vary", "Origin");
    http::ResponseHead head;
    head.preset = &preset;
    head.fields = {{"X-Own", "handler"}, {"Vary", "Cookie"}};
    x.reply(std::move(head), {});
  };
  serve_http1();
  peer->says("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(
      peer->heard.ends_with("X-Preset: handler\r\nX-Own: handler\r\nVary: Cookie\r\n"
                            "X-New: filter\r\nVary: Origin\r\n\r\n"))
      << peer->heard;
}

TEST_F(AnswerSteps, InterimHeadsAreNotDressed) {
  service.exchange = [](Exchange& x) {
    x.filtered().defaults.add("X-Default", "filter");
    http::ResponseHead early;
    early.status = 103;
    x.interim(std::move(early));
    x.reply({}, {});
  };
  serve_http1();
  peer->says("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 "))
      << peer->heard;
  EXPECT_NE(peer->heard.find("X-Default: filter\r\n"), std::string::npos);
}

TEST_F(AnswerSteps, TheNextRequestOfAConnectionStartsWithoutThem) {
  service.exchange = [](Exchange& x) {
    if (x.head.path() == "/first") x.filtered().additions.add("X-First", "1");
    x.reply({}, {});
  };
  serve_http1();
  peer->says("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_NE(peer->heard.find("X-First"), std::string::npos);
  peer->heard.clear();
  peer->says("GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(peer->heard.starts_with("HTTP/1.1 200 ")) << peer->heard;
  EXPECT_EQ(peer->heard.find("X-First"), std::string::npos);
}

}  // namespace
}  // namespace millrace::conn
