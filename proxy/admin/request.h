#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace holdfast::admin {

/// One HTTP request to the admin address, complete. Bounded by the daemon (http_daemon.h).
struct Request {
    std::string method;
    std::string path;  // without the query
    std::map<std::string, std::string> query;
    std::string authorization;  // the header's value; empty: there was none
    std::string origin;         // the header's value: set by browsers for requests of pages
    std::string host;
    std::string body;
    bool takes_gzip = false;  // an answer may be compressed
    bool is_local = false;    // came in over the Unix socket, whose file's mode says who may
    std::string peer;         // for the log: an address, or "unix socket, user 1000"
};

/// What is answered.
struct Page {
    unsigned status = 200;
    std::string_view content_type = "text/plain; charset=utf-8";
    std::string body;
    bool is_gzip = false;         // the body is compressed
    std::string_view allow = {};  // the methods that are allowed, when the one used is not; empty: not told
};

/// Takes the answer to a request: once, at once or later, on the event loop.
using Reply = std::function<void(Page)>;

}  // namespace holdfast::admin
