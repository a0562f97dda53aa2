#pragma once

#include <functional>
#include <string>
#include <string_view>

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
};

struct Page {
    unsigned status = 200;
    std::string_view content_type = "text/plain; charset=utf-8";
    std::string body;
    bool allows_reading_only = false;  // the answer names the methods that are allowed
};

/// GET and HEAD of /, /healthz, /readyz and /metrics; 405 for other methods of these, 404 for all else.
/// `path` is without the query.
Page answer(std::string_view method, std::string_view path, const AdminSources& sources);

}  // namespace holdfast::admin
