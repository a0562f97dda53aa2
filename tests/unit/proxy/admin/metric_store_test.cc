#include "proxy/admin/metric_store.h"

#include <limits>
#include <string>

#include <doctest/doctest.h>

#include "proxy/admin/series.h"

using namespace holdfast::admin;

TEST_CASE("metric store: the text format, byte for byte") {
    MetricStore store;
    Series shop(store, {{"cluster", "shop"}});
    shop.counter(rows::client_bytes, {{"direction", "sent"}})->Increment(3'000'000'000'000);
    shop.counter(rows::client_bytes, {{"direction", "received"}});
    prometheus::Histogram* hold = shop.histogram(rows::hold_duration);
    hold->Observe(0.25);
    hold->Observe(61.5);
    CHECK(store.text() ==
          R"(# HELP holdfast_client_bytes_total Bytes received from clients and sent to them.
# TYPE holdfast_client_bytes_total counter
holdfast_client_bytes_total{cluster="shop",direction="sent"} 3000000000000
holdfast_client_bytes_total{cluster="shop",direction="received"} 0
# HELP holdfast_hold_duration_seconds How long statements waited for a server.
# TYPE holdfast_hold_duration_seconds histogram
holdfast_hold_duration_seconds_bucket{cluster="shop",le="0.01"} 0
holdfast_hold_duration_seconds_bucket{cluster="shop",le="0.1"} 0
holdfast_hold_duration_seconds_bucket{cluster="shop",le="0.5"} 1
holdfast_hold_duration_seconds_bucket{cluster="shop",le="1"} 1
holdfast_hold_duration_seconds_bucket{cluster="shop",le="5"} 1
holdfast_hold_duration_seconds_bucket{cluster="shop",le="10"} 1
holdfast_hold_duration_seconds_bucket{cluster="shop",le="30"} 1
holdfast_hold_duration_seconds_bucket{cluster="shop",le="60"} 1
holdfast_hold_duration_seconds_bucket{cluster="shop",le="+Inf"} 2
holdfast_hold_duration_seconds_sum{cluster="shop"} 61.75
holdfast_hold_duration_seconds_count{cluster="shop"} 2
)");
}

TEST_CASE("metric store: numbers that are not numbers, and large ones") {
    MetricStore store;
    const auto shown = [&](double value) {
        Series series(store, {});
        series.gauge(rows::open_fds)->Set(value);
        const std::string text = store.text();
        return text.substr(text.rfind(' ') + 1);
    };
    CHECK(shown(std::numeric_limits<double>::quiet_NaN()) == "NaN\n");
    CHECK(shown(std::numeric_limits<double>::infinity()) == "+Inf\n");
    CHECK(shown(-std::numeric_limits<double>::infinity()) == "-Inf\n");
    CHECK(shown(-3) == "-3\n");
    CHECK(shown(1'000'000) == "1000000\n");
    CHECK(shown(0.1) == "0.1\n");
    CHECK(shown(1e300) == "1e+300\n");
}

TEST_CASE("metric store: series go with the thing that they are of") {
    MetricStore store;
    Series stays(store, {{"cluster", "a"}});
    prometheus::Counter* kept = stays.counter(rows::failovers);
    {
        Series goes(store, {{"cluster", "b"}});
        goes.counter(rows::failovers);
        goes.gauge(rows::primary_present);
        CHECK(store.text().find("cluster=\"b\"") != std::string::npos);
    }
    kept->Increment();
    CHECK(store.text() ==
          "# HELP holdfast_failovers_total Failovers completed: a new primary has answered its first write.\n"
          "# TYPE holdfast_failovers_total counter\n"
          "holdfast_failovers_total{cluster=\"a\"} 1\n");
}

TEST_CASE("metric store: label values are escaped") {
    CHECK(MetricStore::label_text({{"a", "x\"y\\z\nw"}, {"b", ""}}) == R"(a="x\"y\\z\nw",b="")");
    CHECK(MetricStore::label_text({}).empty());
}
