#pragma once

#include <utility>
#include <vector>

#include "proxy/admin/metric_store.h"

namespace holdfast::admin {

/// The series of one thing (the process, a cluster, a server): they appear when asked for and vanish when
/// this object dies, so that what was configured away is not shown for ever. Must not outlive `store`.
class Series {
public:
    /// `common` labels every series made here.
    Series(MetricStore& store, Labels common);
    Series(const Series&) = delete;
    Series& operator=(const Series&) = delete;
    ~Series();

    /// The series of `row` with the common labels and one or more of its own; at 0. Lives as long as this
    /// object.
    prometheus::Counter* counter(const MetricRow& row, const Labels& labels = {});
    prometheus::Gauge* gauge(const MetricRow& row, const Labels& labels = {});
    prometheus::Histogram* histogram(const MetricRow& row, const Labels& labels = {});

private:
    template <typename Metric, typename... Arguments>
    Metric* make(const MetricRow& row, Labels labels, const Arguments&... arguments);

    MetricStore& store_;
    Labels common_;
    std::vector<std::pair<const MetricRow*, MetricStore::Entries::iterator>> made_;
};

}  // namespace holdfast::admin
