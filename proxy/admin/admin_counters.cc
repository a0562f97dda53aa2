#include "proxy/admin/admin_counters.h"

#include <string>

namespace holdfast::admin {

namespace {

constexpr std::string_view api = "/api/v1/";

size_t page_index(std::string_view path) {
    constexpr size_t api_page = 4;
    static_assert(AdminCounters::pages[api_page] == "/api");
    if (path.starts_with("/api/")) return api_page;
    for (size_t i = 0; i < api_page; ++i) {
        if (path == AdminCounters::pages[i]) return i;
    }
    return AdminCounters::pages.size() - 1;
}

}  // namespace

AdminCounters::AdminCounters(Series& series) {
    for (size_t page = 0; page < pages.size(); ++page) {
        for (size_t code = 0; code < codes.size(); ++code) {
            requests_[page][code] =
                series.counter(rows::admin_requests,
                               {{"page", std::string(pages[page])}, {"code", std::string(codes[code])}});
        }
    }
    for (size_t i = 0; i < actions.size(); ++i) {
        const std::string action(actions[i]);
        actions_[i].done = series.counter(rows::admin_actions, {{"action", action}, {"result", "done"}});
        actions_[i].refused =
            series.counter(rows::admin_actions, {{"action", action}, {"result", "refused"}});
    }
}

void AdminCounters::answered(std::string_view method, std::string_view path, unsigned status) {
    const size_t code = status < 300 ? 0 : status < 500 ? 1 : 2;
    requests_[page_index(path)][code]->Increment();
    if (method != "POST" || !path.starts_with(api)) return;
    for (size_t i = 0; i < actions.size(); ++i) {
        if (path.substr(api.size()) == actions[i]) {
            (code == 0 ? actions_[i].done : actions_[i].refused)->Increment();
        }
    }
}

}  // namespace holdfast::admin
