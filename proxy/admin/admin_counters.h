#pragma once

#include <array>
#include <string_view>

#include "proxy/admin/series.h"

namespace holdfast::admin {

/// Counts what the admin address answers. Part of PrometheusMetrics.
class AdminCounters {
public:
    static constexpr std::array<std::string_view, 6> pages = {"/",        "/healthz", "/readyz",
                                                              "/metrics", "/api",     "other"};
    static constexpr std::array<std::string_view, 3> codes = {"2xx", "4xx", "5xx"};
    static constexpr std::array<std::string_view, 5> actions = {"reload", "server-state", "pause", "resume",
                                                                "kill"};

    explicit AdminCounters(Series& series);
    /// A status outside the classes above is none that we send.
    void answered(std::string_view method, std::string_view path, unsigned status);

private:
    struct Action {
        prometheus::Counter* done;
        prometheus::Counter* refused;
    };
    std::array<std::array<prometheus::Counter*, codes.size()>, pages.size()> requests_{};
    std::array<Action, actions.size()> actions_{};
};

}  // namespace holdfast::admin
