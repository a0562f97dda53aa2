#include "proxy/admin/series.h"

#include <cassert>
#include <iterator>
#include <utility>
#include <variant>

namespace holdfast::admin {

Series::Series(MetricStore& store, Labels common) : store_(store), common_(std::move(common)) {}

Series::~Series() {
    for (const auto& [row, entry] : made_) store_.entries(*row).erase(entry);
}

prometheus::Counter* Series::counter(const MetricRow& row, const Labels& labels) {
    assert(row.kind == MetricKind::counter);
    return make<prometheus::Counter>(row, labels);
}

prometheus::Gauge* Series::gauge(const MetricRow& row, const Labels& labels) {
    assert(row.kind == MetricKind::gauge);
    return make<prometheus::Gauge>(row, labels);
}

prometheus::Histogram* Series::histogram(const MetricRow& row, const Labels& labels) {
    assert(row.kind == MetricKind::histogram);
    return make<prometheus::Histogram>(
        row, labels, prometheus::Histogram::BucketBoundaries(row.buckets.begin(), row.buckets.end()));
}

template <typename Metric, typename... Arguments>
Metric* Series::make(const MetricRow& row, Labels labels, const Arguments&... arguments) {
    labels.insert(common_.begin(), common_.end());
    MetricStore::Entries& entries = store_.entries(row);
    entries.emplace_back(std::in_place_type<Metric>, MetricStore::label_text(labels), arguments...);
    made_.emplace_back(&row, std::prev(entries.end()));
    return &std::get<Metric>(entries.back().metric);
}

}  // namespace holdfast::admin
