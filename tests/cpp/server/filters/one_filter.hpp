// One connection whose requests a filter sees before a handler that answers with what it saw.
#pragma once
#include <initializer_list>

#include "conn/bench_of_one_connection.hpp"

#include "millrace/server/filters/filters.hpp"

namespace millrace::server {

class OneFilter : public conn::OneConnection {
 protected:
  using Values = std::map<std::string, Settings::Value>;

  void filter(std::string kind, Values settings) { filters({{kind, "", Settings(settings)}}); }
  void filters(std::vector<FilterRow> rows) {
    auto made = Filters::make(rows);
    ASSERT_TRUE(made) << made.error().message();
    filters_ = std::move(*made);
    service.exchange = [this](conn::Exchange& x) {
      if (filters_.on_request(x) == Filter::Verdict::go_on) handler(x);
    };
    serve_http1();
  }
  // The whole answer to a request with these lines behind its first one.
  std::string ask(std::string_view first, std::string_view lines = "") {
    peer->heard.clear();
    peer->says(std::string(first) + " HTTP/1.1\r\n" + std::string(lines) + "\r\n");
    return peer->heard;
  }
  std::string get(std::string_view lines = "") {
    return ask("GET /", "Host: a.example\r\n" + std::string(lines));
  }

  std::function<void(conn::Exchange&)> handler = [](conn::Exchange& x) {
    x.reply({}, base::Bytes::borrowed("handler"));
  };

 private:
  Filters filters_;
};

inline int status_of(std::string_view answer) {
  return answer.size() < 12 ? 0 : std::stoi(std::string(answer.substr(9, 3)));
}
// A field's value; "-" where the answer has none.
inline std::string field_of(std::string_view answer, std::string_view name) {
  auto const line = "\r\n" + std::string(name) + ": ";
  auto const at = answer.find(line);
  if (at == answer.npos) return "-";
  auto const value = answer.substr(at + line.size());
  return std::string(value.substr(0, value.find("\r\n")));
}

}  // namespace millrace::server
