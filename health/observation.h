#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "health/mysql_state.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/position.h"

namespace holdfast::health {

/// What a probe of one server came to, named by the layer that failed.
enum class Outcome {
    ok,                // every fact below is what the server says
    alive,             // it answers, and nothing more is known (no service account)
    too_many,          // it lives, but has no connection to spare (53300; 1040, 1203)
    auth,              // it lives, but refuses the service account
    starting_up,       // it answers that it does not serve now (57P03; 1053)
    conn_refused,      // nobody listens there
    conn_lost,         // an established connection broke
    conn_failed,       // unreachable, name not found, …
    conn_timeout,      // no connection in time
    greeting_timeout,  // connected, but the login was not finished in time: a frozen server
    query_timeout,     // logged in, but no answer in time
    tls,               // no TLS, or not with the right server
    protocol,          // another protocol, or an answer that makes no sense
};
/// The word used in logs and metrics.
std::string_view to_string(Outcome outcome);

/// The result of one probe of one server. Facts are filled in for Outcome::ok only; zero and empty mean
/// "not known" (for instance for lack of pg_monitor).
struct Observation {
    ServerId server;
    /// When the question left (a failure: when the probe began), and when the answer was there.
    TimePoint sent_at{};
    TimePoint received_at{};
    Outcome outcome = Outcome::ok;
    std::string text;  // a failure in words

    /// It is a replica. Of a MySQL or MariaDB server the topology decides that, by `mysql`.
    bool in_recovery = false;
    uint64_t system_identifier = 0;
    /// A primary's: the one it writes on. A standby's: the newest that it is known to have received.
    uint32_t timeline = 0;
    /// A primary's: all that was written when it answered (the WAL insert position, unflushed records
    /// included). A standby's: the end of what it has replayed.
    Position position;
    /// A primary's: the end of what standbys can have received by now; zero when that point lies within a
    /// record. Lag is measured against this one, for the other may stay ahead of every standby for seconds.
    Position flushed;
    /// A standby's: the end of what it has received and written to its disk.
    Position received;
    bool replay_paused = false;
    bool receiver_streaming = false;  // a standby's WAL receiver is connected and streaming
    bool receiver_known = false;      // … and we were allowed to see that
    std::string sender_host;          // whom it streams from
    int sender_port = 0;
    int server_version = 0;    // server_version_num
    std::string version_text;  // MySQL, MariaDB: VERSION()
    std::optional<MysqlState> mysql;
};

}  // namespace holdfast::health
