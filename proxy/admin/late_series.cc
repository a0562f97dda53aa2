#include "proxy/admin/late_series.h"

#include <algorithm>

namespace holdfast::admin {

bool is_at_start(const MetricRow& row, std::string_view word) {
    if (row.at_start == all_series) return true;
    std::string_view rest = row.at_start;
    while (!rest.empty()) {
        const size_t comma = std::min(rest.find(','), rest.size());
        if (rest.substr(0, comma) == word) return true;
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return false;
}

LateCounters::LateCounters(Series& series, const MetricRow& row, std::string label, Word word, size_t count)
    : series_(&series), row_(&row), label_(std::move(label)), word_(word), counters_(count) {
    for (size_t i = 0; i < count; ++i) {
        if (is_at_start(row, word(i))) counter(i);
    }
}

prometheus::Counter& LateCounters::counter(size_t i) {
    if (counters_[i] == nullptr) {
        counters_[i] = series_->counter(*row_, {{label_, std::string(word_(i))}});
    }
    return *counters_[i];
}

StateSet::StateSet(Series& series, const MetricRow& row, std::string label, Word word, size_t count)
    : series_(&series), row_(&row), label_(std::move(label)), word_(word), gauges_(count) {
    for (size_t i = 0; i < count; ++i) {
        if (is_at_start(row, word(i))) show(i);
    }
}

void StateSet::show(size_t present) {
    for (prometheus::Gauge* gauge : gauges_) {
        if (gauge != nullptr) gauge->Set(0);
    }
    prometheus::Gauge*& gauge = gauges_[present];
    if (gauge == nullptr) gauge = series_->gauge(*row_, {{label_, std::string(word_(present))}});
    gauge->Set(1);
    is_shown_ = true;
}

LateGauges::LateGauges(Series& series, const MetricRow& row, std::string label, Word word, size_t count)
    : series_(&series), row_(&row), label_(std::move(label)), word_(word), gauges_(count) {
    for (size_t i = 0; i < count; ++i) {
        if (is_at_start(row, word(i))) gauge(i);
    }
}

void LateGauges::set(size_t i, double value) {
    if (value != 0 || gauges_[i] != nullptr) gauge(i).Set(value);
}

prometheus::Gauge& LateGauges::gauge(size_t i) {
    if (gauges_[i] == nullptr) gauges_[i] = series_->gauge(*row_, {{label_, std::string(word_(i))}});
    return *gauges_[i];
}

}  // namespace holdfast::admin
