#include "proxy/admin/pages.h"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

using namespace holdfast::admin;

namespace {

/// Sources whose compression waits for the test, and that keep what they are told.
struct Lab {
    std::string metrics = std::string(10'000, 'x');
    std::function<void(std::string)> packed;  // set while something is being compressed
    std::vector<std::string> told;
    std::optional<Page> page;

    AdminSources sources() {
        return {
            .ready = [] { return true; },
            .ready_detail = [] { return std::string("{}"); },
            .metrics = [this] { return metrics; },
            .compress = [this](std::string, std::function<void(std::string)> on_done) { packed = on_done; },
            .on_answered =
                [this](std::string_view method, std::string_view path, unsigned status) {
                    told.push_back(std::string(method) + " " + std::string(path) + " " +
                                   std::to_string(status));
                }};
    }
    void get(const std::string& path, bool takes_gzip) {
        Request request;
        request.method = "GET";
        request.path = path;
        request.takes_gzip = takes_gzip;
        answer(request, sources(), [this](Page given) { page = std::move(given); });
    }
};

}  // namespace

TEST_CASE("pages: a long text is packed for who takes it, and answered when that is done") {
    Lab lab;
    lab.get("/metrics", true);
    CHECK_FALSE(lab.page);
    CHECK(lab.told.empty());
    REQUIRE(lab.packed);
    lab.packed("small");
    REQUIRE(lab.page);
    CHECK(lab.page->body == "small");
    CHECK(lab.page->is_gzip);
    CHECK(lab.told == std::vector<std::string>{"GET /metrics 200"});
}

TEST_CASE("pages: what could not be packed is sent as it is") {
    Lab lab;
    lab.get("/metrics", true);
    REQUIRE(lab.packed);
    lab.packed("");
    REQUIRE(lab.page);
    CHECK(lab.page->body == lab.metrics);
    CHECK_FALSE(lab.page->is_gzip);
}

TEST_CASE("pages: short texts, and those for who does not ask, are not packed") {
    Lab lab;
    lab.get("/metrics", false);
    REQUIRE(lab.page);
    CHECK(lab.page->body == lab.metrics);
    lab.get("/healthz", true);
    CHECK(lab.page->body == "ok\n");
    lab.get("/nowhere", true);
    CHECK(lab.page->status == 404);
    CHECK_FALSE(lab.packed);
    CHECK(lab.told == std::vector<std::string>{"GET /metrics 200", "GET /healthz 200", "GET /nowhere 404"});
}
