#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include "proxy/admin/metric_table.h"

namespace holdfast::admin {

using Labels = std::map<std::string, std::string>;

/// All series of the process, by row of the table. It stands where prometheus-cpp has its Registry and
/// TextSerializer: those copy every label at each scrape, which stops the event loop for some 10 ms with ten
/// clusters of ten servers; here the labels are written once. For the event loop's thread.
class MetricStore {
public:
    struct Entry {
        template <typename Metric, typename... Arguments>
        Entry(std::in_place_type_t<Metric> type, std::string label_text, const Arguments&... arguments)
            : labels(std::move(label_text)), metric(type, arguments...) {}

        std::string labels;  // as in the text, without braces; empty: none
        std::variant<prometheus::Counter, prometheus::Gauge, prometheus::Histogram> metric;
    };
    using Entries = std::list<Entry>;  // a list: series come and go, and their addresses stay

    Entries& entries(const MetricRow& row) { return entries_[&row]; }

    /// Prometheus text format 0.0.4, in the order of the table.
    /// spec    Prometheus documentation, "Exposition formats", Text-based format
    std::string text() const;

    /// `cluster="shop",state="idle"`, with what must be escaped.
    static std::string label_text(const Labels& labels);

private:
    std::map<const MetricRow*, Entries> entries_;
    mutable size_t size_before_ = 0;  // of the text: the next one will be of about this size
};

}  // namespace holdfast::admin
