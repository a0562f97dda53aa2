#include "proxy/admin/pages.h"

#include <array>

namespace holdfast::admin {

namespace {

constexpr std::string_view html = "text/html; charset=utf-8";

Page index_page(const AdminSources& sources) {
    if (sources.status_page) return {.content_type = html, .body = sources.status_page()};
    return {.body = "Holdfast " HOLDFAST_VERSION
                    "\n\n"
                    "/healthz  200 while the process is alive\n"
                    "/readyz   200 when every cluster has been probed, 503 before that and during shutdown\n"
                    "/metrics  Prometheus metrics\n"};
}

/// Says only that the event loop turns. The state of the databases must not be in it: an orchestrator would
/// kill every proxy in a database outage.
Page health_page(const AdminSources&) {
    return {.body = "ok\n"};
}

Page ready_page(const AdminSources& sources) {
    return {.status = sources.ready() ? 200U : 503U,
            .content_type = "application/json",
            .body = sources.ready_detail() + "\n"};
}

Page metrics_page(const AdminSources& sources) {
    return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = sources.metrics()};
}

struct Route {
    std::string_view path;
    Page (*make)(const AdminSources&);
};

constexpr std::array routes = {
    Route{"/", index_page},
    Route{"/healthz", health_page},
    Route{"/readyz", ready_page},
    Route{"/metrics", metrics_page},
};

}  // namespace

void answer(const Request& request, const AdminSources& sources, const Reply& reply) {
    if (sources.api && request.path.starts_with("/api/")) return sources.api(request, reply);
    for (const Route& route : routes) {
        if (request.path != route.path) continue;
        if (request.method == "GET" || request.method == "HEAD") return reply(route.make(sources));
        return reply({.status = 405, .body = "only GET and HEAD\n", .allow = "GET, HEAD"});
    }
    reply({.status = 404, .body = "no such page\n"});
}

}  // namespace holdfast::admin
