#include "proxy/admin/pages.h"

#include <array>

namespace holdfast::admin {

namespace {

Page index_page(const AdminSources&) {
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

Page answer(std::string_view method, std::string_view path, const AdminSources& sources) {
    for (const Route& route : routes) {
        if (path != route.path) continue;
        if (method == "GET" || method == "HEAD") return route.make(sources);
        return {.status = 405, .body = "only GET and HEAD\n", .allows_reading_only = true};
    }
    return {.status = 404, .body = "no such page\n"};
}

}  // namespace holdfast::admin
