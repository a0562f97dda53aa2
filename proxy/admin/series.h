#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "proxy/admin/metric_table.h"

namespace holdfast::admin {

/// The series of one thing (the process, a cluster, a server): they appear when asked for and vanish when
/// this object dies, so that what was configured away is not shown for ever. Two objects must not make the
/// same series. Must not outlive `registry`.
class Series {
public:
    /// `common` labels every series made here.
    Series(prometheus::Registry& registry, prometheus::Labels common);
    Series(Series&&) noexcept = default;
    Series& operator=(Series&&) = delete;
    ~Series();

    /// The series of `row` with the common labels and one or more of its own; at 0. Lives as long as this
    /// object.
    prometheus::Counter* counter(const MetricRow& row, const prometheus::Labels& labels = {});
    prometheus::Gauge* gauge(const MetricRow& row, const prometheus::Labels& labels = {});
    prometheus::Histogram* histogram(const MetricRow& row, const prometheus::Labels& labels = {});

private:
    template <typename Metric>
    struct Made {
        prometheus::Family<Metric>* family;
        Metric* metric;
    };
    prometheus::Labels with_common(prometheus::Labels labels) const;

    prometheus::Registry* registry_;
    prometheus::Labels common_;
    std::vector<Made<prometheus::Counter>> counters_;
    std::vector<Made<prometheus::Gauge>> gauges_;
    std::vector<Made<prometheus::Histogram>> histograms_;
};

}  // namespace holdfast::admin
