// The loop that all clients of an interpreter share, which ends with it. GIL held.
#pragma once
#include <string>
#include <vector>

#include "millrace/conn/client_loop.hpp"

namespace millrace::python {

// Started when it is first asked for.
conn::ClientLoop& client_loop();
// Of "host:port", "[::1]:port" or "unix:/path"; a name is resolved, which blocks. Never an empty
// list. Needs no GIL.
base::Result<std::vector<net::Endpoint>> addresses_of(const std::string& address);
// At interpreter exit, and in the child of a fork.
void stop_clients();
void forget_clients();

}  // namespace millrace::python
