// Records a given number of requests with nothing, metrics or the access log on, and ends:
// something whose instructions callgrind can count. Only what happens below Sink::request_done is.
//
// usage: recording_cost REQUESTS off|metrics|log
#include <cstdlib>
#include <cstring>

#include "millrace/observe/request_recorder.hpp"

namespace {

using namespace millrace;

class BrowserWords final : public trace::RequestWords {
 public:
  base::ByteView method() const override { return "GET"; }
  base::ByteView target() const override { return "/users/42?full=1"; }
  base::ByteView protocol() const override { return "HTTP/1.1"; }
  base::ByteView route() const override { return route_; }
  base::ByteView client() const override { return "127.0.0.1"; }
  base::ByteView field(base::ByteView name) const override {
    return name == "user-agent" ? agent_ : base::ByteView{};
  }

 private:
  std::string_view route_ = "/users/{id}";
  std::string_view agent_ =
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
      "Safari/537.36";
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  auto const requests = std::atol(argv[1]);
  observe::RecorderOptions options{.journey = false};
  options.metrics = std::strcmp(argv[2], "metrics") == 0;
  auto const lines = std::make_shared<observe::LineQueue>(observe::LineQueueOptions{});
  if (std::strcmp(argv[2], "log") == 0)
    options.logs.push_back({*observe::LogFormat::parse("combined"), lines});
  observe::RequestRecorder recorder(options);
  trace::Sink* volatile const sink = &recorder;  // so that the call stays one
  BrowserWords const words;
  trace::Stamps stamps;
  stamps.stamp(trace::Moment::ready, 1'000);
  for (long i = 0; i < requests; ++i) {
    stamps.stamp(trace::Moment::written, 50'000 + i);
    sink->request_done({stamps, 50'000 + i, 13, 200, words});
    if (i % 1'000 == 0) (void)lines->lines();
  }
  return lines->dropped() == 0 ? 0 : 1;
}
