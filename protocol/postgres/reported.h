#pragma once

#include <string_view>

#include "protocol/postgres/messages.h"

namespace holdfast::postgres {

/// Guesses what the server would report to a client at its login, from what it reported to another client:
/// for logins while no server can be asked. What the other one had asked for itself becomes PostgreSQL's
/// default, what this one asks for becomes its own. reported     in: to the other client; out: the guess
/// others, own  the parameters of the two clients' startup messages, `options` included
/// spec         PostgreSQL documentation, "Message Flow: Start-up", ParameterStatus; "How Connections Are
///              Established"
void guess_reported(Parameters& reported, const Parameters& others, std::string_view others_user,
                    const Parameters& own, std::string_view own_user);

}  // namespace holdfast::postgres
