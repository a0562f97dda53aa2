#include "proxy/admin/series.h"

#include <cassert>
#include <string>
#include <utility>

namespace holdfast::admin {

namespace {

/// The registry merges: the family is made at the first call and found at later ones.
template <typename Metric>
prometheus::Family<Metric>& family(prometheus::detail::Builder<Metric> builder, const MetricRow& row,
                                   prometheus::Registry& registry) {
    return builder.Name(std::string(row.name)).Help(std::string(row.help)).Register(registry);
}

}  // namespace

Series::Series(prometheus::Registry& registry, prometheus::Labels common)
    : registry_(&registry), common_(std::move(common)) {}

Series::~Series() {
    for (const auto& made : counters_) made.family->Remove(made.metric);
    for (const auto& made : gauges_) made.family->Remove(made.metric);
    for (const auto& made : histograms_) made.family->Remove(made.metric);
}

prometheus::Counter* Series::counter(const MetricRow& row, const prometheus::Labels& labels) {
    assert(row.kind == MetricKind::counter);
    auto& owner = family(prometheus::BuildCounter(), row, *registry_);
    return counters_.emplace_back(Made<prometheus::Counter>{&owner, &owner.Add(with_common(labels))}).metric;
}

prometheus::Gauge* Series::gauge(const MetricRow& row, const prometheus::Labels& labels) {
    assert(row.kind == MetricKind::gauge);
    auto& owner = family(prometheus::BuildGauge(), row, *registry_);
    return gauges_.emplace_back(Made<prometheus::Gauge>{&owner, &owner.Add(with_common(labels))}).metric;
}

prometheus::Histogram* Series::histogram(const MetricRow& row, const prometheus::Labels& labels) {
    assert(row.kind == MetricKind::histogram);
    auto& owner = family(prometheus::BuildHistogram(), row, *registry_);
    const prometheus::Histogram::BucketBoundaries bounds(row.buckets.begin(), row.buckets.end());
    return histograms_
        .emplace_back(Made<prometheus::Histogram>{&owner, &owner.Add(with_common(labels), bounds)})
        .metric;
}

prometheus::Labels Series::with_common(prometheus::Labels labels) const {
    labels.insert(common_.begin(), common_.end());
    return labels;
}

}  // namespace holdfast::admin
