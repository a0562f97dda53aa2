#include "health/observation.h"
#include "health/view.h"

namespace holdfast::health {

std::string_view to_string(Outcome outcome) {
    switch (outcome) {
        case Outcome::ok: return "ok";
        case Outcome::alive: return "alive";
        case Outcome::too_many: return "too_many";
        case Outcome::auth: return "auth";
        case Outcome::starting_up: return "starting_up";
        case Outcome::conn_refused: return "conn_refused";
        case Outcome::conn_lost: return "conn_lost";
        case Outcome::conn_failed: return "conn_failed";
        case Outcome::conn_timeout: return "conn_timeout";
        case Outcome::greeting_timeout: return "greeting_timeout";
        case Outcome::query_timeout: return "query_timeout";
        case Outcome::tls: return "tls";
        case Outcome::protocol: return "protocol";
    }
    return "unknown";
}

std::string_view to_string(ServerState state) {
    switch (state) {
        case ServerState::starting: return "starting";
        case ServerState::up: return "up";
        case ServerState::suspect: return "suspect";
        case ServerState::down: return "down";
        case ServerState::catching_up: return "catching_up";
        case ServerState::lagging: return "lagging";
        case ServerState::broken: return "broken";
        case ServerState::quarantined: return "quarantined";
    }
    return "unknown";
}

std::string_view to_string(ServerRole role) {
    switch (role) {
        case ServerRole::unknown: return "unknown";
        case ServerRole::primary: return "primary";
        case ServerRole::replica: return "replica";
    }
    return "unknown";
}

std::string_view to_string(Duty duty) {
    switch (duty) {
        case Duty::serves: return "ready";
        case Duty::draining: return "drain";
        case Duty::maintenance: return "maintenance";
        case Duty::removed: return "removed";
    }
    return "unknown";
}

std::string_view to_string(Hint hint) {
    switch (hint) {
        case Hint::connection_lost: return "connection_lost";
        case Hint::connect_failed: return "connect_failed";
        case Hint::shutting_down: return "shutting_down";
        case Hint::refused_write: return "refused_write";
        case Hint::role_changed: return "role_changed";
        case Hint::not_answering: return "not_answering";
    }
    return "unknown";
}

}  // namespace holdfast::health
