#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/admin/series.h"

/// Series that are made when there is something to show: of the many words that a label may have, most never
/// occur, and with a hundred servers their zeros are most of what a scrape would carry. Those that the row
/// names (`at_start`) are there from the start, so that rate() sees their first event.
namespace holdfast::admin {

/// The word of a label's n-th value.
using Word = std::string_view (*)(size_t);

/// The words of an enum that has a to_string() beside it.
template <typename Enum>
constexpr Word words_of() {
    return [](size_t i) -> std::string_view { return to_string(static_cast<Enum>(i)); };
}

/// Whether a series of the row with this word is there from the start.
bool is_at_start(const MetricRow& row, std::string_view word);

/// Counters that differ in one label. Must not outlive `series`.
class LateCounters {
public:
    LateCounters(Series& series, const MetricRow& row, std::string label, Word word, size_t count);
    template <typename Enum>
    void increment(Enum value) {
        counter(static_cast<size_t>(value)).Increment();
    }

private:
    prometheus::Counter& counter(size_t i);

    Series* series_;
    const MetricRow* row_;
    std::string label_;
    Word word_;
    std::vector<prometheus::Counter*> counters_;  // null: not made yet
};

/// Gauges that differ in one label, of which one is 1: a state. A state that never was has no series.
/// Must not outlive `series`.
class StateSet {
public:
    StateSet(Series& series, const MetricRow& row, std::string label, Word word, size_t count);
    template <typename Enum>
    void show(Enum value) {
        show(static_cast<size_t>(value));
    }
    bool is_shown() const { return is_shown_; }

private:
    void show(size_t present);

    Series* series_;
    const MetricRow* row_;
    std::string label_;
    Word word_;
    std::vector<prometheus::Gauge*> gauges_;  // null: it never was in this state
    bool is_shown_ = false;
};

/// Gauges that differ in one label, each of which is there from its first value but 0 on.
/// Must not outlive `series`.
class LateGauges {
public:
    LateGauges(Series& series, const MetricRow& row, std::string label, Word word, size_t count);
    void set(size_t i, double value);

private:
    prometheus::Gauge& gauge(size_t i);

    Series* series_;
    const MetricRow* row_;
    std::string label_;
    Word word_;
    std::vector<prometheus::Gauge*> gauges_;  // null: not made yet
};

/// A histogram that is there from its first observation on. Must not outlive `series`.
class LateHistogram {
public:
    LateHistogram(Series& series, const MetricRow& row) : series_(&series), row_(&row) {}
    void observe(double value) {
        if (histogram_ == nullptr) histogram_ = series_->histogram(*row_);
        histogram_->Observe(value);
    }

private:
    Series* series_;
    const MetricRow* row_;
    prometheus::Histogram* histogram_ = nullptr;
};

/// A gauge that is there from its first known value on, and NaN when that is not known any more.
/// Must not outlive `series`.
class KnownGauge {
public:
    KnownGauge(Series& series, const MetricRow& row) : series_(&series), row_(&row) {}
    void show(std::optional<double> value) {
        if (value && gauge_ == nullptr) gauge_ = series_->gauge(*row_);
        if (gauge_ != nullptr) gauge_->Set(value.value_or(std::numeric_limits<double>::quiet_NaN()));
    }

private:
    Series* series_;
    const MetricRow* row_;
    prometheus::Gauge* gauge_ = nullptr;
};

}  // namespace holdfast::admin
