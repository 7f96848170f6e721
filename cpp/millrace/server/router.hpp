// Which handler answers which method and path.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "millrace/server/handler.hpp"

namespace millrace::server {

// Built before the server starts, then only read, by every loop.
//
// A pattern is literal segments and parameters: "/users/{id}", "/users/{id:int}",
// "/files/{rest:path}". Types: str (the default; one segment, not empty), int (decimal digits, an
// optional '-'), float, uuid, path (the rest, slashes included; last only). Literal segments win
// over parameters, earlier routes over later ones.
class Router {
 public:
  Router();
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  // Errc::invalid_option for a malformed pattern, a doubled parameter name or more than
  // Exchange::max_parameters. `methods`: upper case; empty: all. `handler` outlives the router.
  base::Status add(std::vector<std::string> methods, std::string_view pattern, Handler& handler);

  struct Match {
    Handler* handler = nullptr;
    base::ByteView route;  // the handler's pattern; lives as long as the router
    // Where handler is null: empty for "no such path" (404), else the methods that would do, for
    // Allow (405). OPTIONS without a handler of its own is answered with it.
    std::string allow;
    bool path_exists = false;
  };
  // Fills exchange.parameters. HEAD falls back to GET.
  Match find(conn::Exchange& exchange) const;

 private:
  struct Table;
  std::unique_ptr<Table> table_;
};

}  // namespace millrace::server
