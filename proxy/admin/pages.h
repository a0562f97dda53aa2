#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "proxy/admin/request.h"

/// What the admin address answers. Pure but for its sources.
namespace holdfast::admin {

/// Where the pages' contents come from. Called on the event loop, at each request.
struct AdminSources {
    /// Every cluster has had its first round of probes, and the proxy is not shutting down.
    std::function<bool()> ready;
    /// The same in detail, as a JSON object.
    std::function<std::string()> ready_detail;
    /// Prometheus text format 0.0.4.
    std::function<std::string()> metrics;
    /// The status page, complete; none: a list of the addresses.
    std::function<std::string()> status_page = {};
    /// Answers everything below /api/; none: nothing is there.
    std::function<void(const Request&, Reply)> api = {};
    /// Compresses a text with gzip(), off the event loop, and hands the result back on it, later; empty: it
    /// failed. None: nothing is compressed.
    std::function<void(std::string text, std::function<void(std::string packed)> on_done)> compress = {};
    /// Told of every answer.
    std::function<void(std::string_view method, std::string_view path, unsigned status)> on_answered = {};
};

/// GET and HEAD of /, /healthz, /readyz and /metrics; 405 for other methods of these; what is below /api/ is
/// passed on; 404 for all else.
void answer(const Request& request, const AdminSources& sources, const Reply& reply);

}  // namespace holdfast::admin
