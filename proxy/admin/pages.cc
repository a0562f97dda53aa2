#include "proxy/admin/pages.h"

#include <array>
#include <memory>
#include <utility>

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

/// With ten clusters of ten servers it is 300 kB, and a thirteenth of that packed.
void answer_packed(Page page, const AdminSources& sources, const Reply& reply) {
    auto plain = std::make_shared<Page>(std::move(page));
    sources.compress(plain->body, [plain, reply](std::string packed) {
        if (!packed.empty()) {
            plain->body = std::move(packed);
            plain->is_gzip = true;
        }
        reply(std::move(*plain));
    });
}

constexpr size_t packed_bytes_min = 4'096;

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

void answer(const Request& request, const AdminSources& sources, const Reply& reply_to) {
    Reply reply = reply_to;
    if (sources.on_answered) {
        // An answer may come later: it keeps what it needs.
        reply = [told = sources.on_answered, method = request.method, path = request.path,
                 reply_to](Page page) {
            told(method, path, page.status);
            reply_to(std::move(page));
        };
    }
    if (sources.api && request.path.starts_with("/api/")) return sources.api(request, reply);
    for (const Route& route : routes) {
        if (request.path != route.path) continue;
        if (request.method == "GET" || request.method == "HEAD") {
            Page page = route.make(sources);
            const bool is_packed =
                sources.compress && request.takes_gzip && page.body.size() >= packed_bytes_min;
            return is_packed ? answer_packed(std::move(page), sources, reply) : reply(std::move(page));
        }
        return reply({.status = 405, .body = "only GET and HEAD\n", .allow = "GET, HEAD"});
    }
    reply({.status = 404, .body = "no such page\n"});
}

}  // namespace holdfast::admin
