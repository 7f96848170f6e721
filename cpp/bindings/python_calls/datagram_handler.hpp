// A handler of UDP written in Python.
#pragma once
#include "ref.hpp"

#include "millrace/server/datagram_server.hpp"

namespace millrace::python {

// A plain function (data, peer): runs where the pattern says.
class PlainDatagramHandler final : public server::DatagramHandler {
 public:
  explicit PlainDatagramHandler(Ref target) : target_(std::move(target)) {}
  Outcome handle(base::ByteView datagram, const net::Endpoint& from, std::string& answer) override;

 private:
  Ref target_;
};

}  // namespace millrace::python
