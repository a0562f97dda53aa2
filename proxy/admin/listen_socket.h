#pragma once

#include <vector>

#include "config/settings.h"
#include "protocol/base/result.h"
#include "proxy/loop/socket_options.h"

namespace holdfast::admin {

/// Non-blocking sockets that listen at `endpoint`, one for each address of its host; names are resolved here,
/// blocking, so call it at start only. With port 0 all get the one free port that the first got. A Unix
/// socket is made for the owner and group (0660); one that nobody serves any more is replaced, one that
/// somebody answers, or any other file, is not.
/// errors  those of loop::bind_addresses and loop::unix_address; bad_state: in use; denied; unreachable: not
///         an address of this host; each names the address
Result<std::vector<loop::Descriptor>> listen_at(const config::Endpoint& endpoint);

/// The port that a listening TCP socket got; 0 for others.
uint16_t port_of_socket(int descriptor);

}  // namespace holdfast::admin
