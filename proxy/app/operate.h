#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <string>

#include "proxy/app/remote.h"

/// The commands that ask or tell a running proxy something. Each blocks, prints its answer, and returns the
/// exit code. What went wrong goes to `err` in words.
namespace holdfast::app {

inline constexpr int exit_done = 0;
inline constexpr int exit_failed = 1;  // refused, or something is wrong with the configuration
inline constexpr int exit_usage = 2;
inline constexpr int exit_unreachable = 3;
inline constexpr int exit_time_over = 4;  // of --wait

struct Operation {
    RemoteOptions remote;
    bool json = false;    // the API's answer as it is
    std::string subject;  // a cluster, CLUSTER/SERVER or a session; may be empty where all are meant
    std::string reason;   // for the log and for others who look
    bool wait = false;
    std::chrono::milliseconds timeout{0};
    bool has_timeout = false;
    bool force = false;
    bool dry_run = false;
    uint64_t after = 0;
    uint64_t limit = 0;  // of sessions; 0: as many as the proxy lists by itself
    std::string sort;    // of sessions; empty: those that wait longest first
    std::string filter;  // of sessions
};

struct Streams {
    std::ostream& out;
    std::ostream& err;
};

int show_status(const Operation& operation, Streams to);
int show_servers(const Operation& operation, Streams to);
int show_sessions(const Operation& operation, Streams to);
int show_events(const Operation& operation, Streams to);
/// `state` is ready, drain or maintenance. With `wait` it returns when the server has no connection left.
int set_server_state(const Operation& operation, const std::string& state, Streams to);
/// With `wait` it returns when no transaction runs any more.
int pause_cluster(const Operation& operation, Streams to);
int resume_cluster(const Operation& operation, Streams to);
int kill_session(const Operation& operation, Streams to);
int reload_config(const Operation& operation, Streams to);
/// What a reload would change. Returns 0: nothing; 1: something; 2: the file has errors, or the proxy
/// refused; 3: it can't be reached.
int diff_running(const Operation& operation, Streams to);

}  // namespace holdfast::app
