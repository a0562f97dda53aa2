#include "proxy/admin/metric_store.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>

namespace holdfast::admin {

namespace {

template <typename Number>
void append_digits(Number number, std::string& out) {
    std::array<char, 32> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    out.append(digits.data(), end.ptr);
}

void append_value(double value, std::string& out) {
    constexpr double exact_integers_end = 9'007'199'254'740'992;  // 2^53
    constexpr double smallest_plain = 1e-6;
    if (std::isnan(value)) {
        out += "NaN";
    } else if (std::isinf(value)) {
        out += value > 0 ? "+Inf" : "-Inf";
    } else if (std::abs(value) < exact_integers_end && std::trunc(value) == value) {
        append_digits(static_cast<int64_t>(value), out);  // whole numbers without an exponent
    } else if (std::abs(value) >= smallest_plain && std::abs(value) < exact_integers_end) {
        std::array<char, 48> digits;  // bounds of buckets are labels: 0.0005 rather than 5e-04
        const auto end =
            std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed);
        out.append(digits.data(), end.ptr);
    } else {
        append_digits(value, out);
    }
}

/// `name_suffix{labels} ` of one line.
void append_series(const MetricRow& row, std::string_view suffix, const std::string& labels,
                   std::string& out) {
    out += row.name;
    out += suffix;
    if (!labels.empty()) {
        out += '{';
        out += labels;
        out += '}';
    }
    out += ' ';
}

struct AppendLines {
    const MetricRow& row;
    const std::string& labels;
    std::string& out;

    void operator()(const prometheus::Counter& counter) const { append_line(counter.Value()); }
    void operator()(const prometheus::Gauge& gauge) const { append_line(gauge.Value()); }
    void operator()(const prometheus::Histogram& histogram) const {
        const prometheus::ClientMetric::Histogram now = histogram.Collect().histogram;
        for (const auto& bucket : now.bucket) {
            out += row.name;
            out += "_bucket{";
            out += labels;
            out += labels.empty() ? "le=\"" : ",le=\"";
            append_value(bucket.upper_bound, out);
            out += "\"} ";
            append_digits(bucket.cumulative_count, out);
            out += '\n';
        }
        append_series(row, "_sum", labels, out);
        append_value(now.sample_sum, out);
        out += '\n';
        append_series(row, "_count", labels, out);
        append_digits(now.sample_count, out);
        out += '\n';
    }

private:
    void append_line(double value) const {
        append_series(row, "", labels, out);
        append_value(value, out);
        out += '\n';
    }
};

}  // namespace

std::string MetricStore::text() const {
    std::string out;
    out.reserve(size_before_ + size_before_ / 8);
    for (const MetricRow* row : all_metric_rows()) {
        const auto entries = entries_.find(row);
        if (entries == entries_.end() || entries->second.empty()) continue;
        out += "# HELP ";
        out += row->name;
        out += ' ';
        out += row->help;
        out += "\n# TYPE ";
        out += row->name;
        out += ' ';
        out += to_string(row->kind);
        out += '\n';
        for (const Entry& entry : entries->second) {
            std::visit(AppendLines{*row, entry.labels, out}, entry.metric);
        }
    }
    size_before_ = out.size();
    return out;
}

std::string MetricStore::label_text(const Labels& labels) {
    std::string out;
    for (const auto& [name, value] : labels) {
        if (!out.empty()) out += ',';
        out += name;
        out += "=\"";
        for (const char c : value) {
            if (c == '\n') {
                out += "\\n";
                continue;
            }
            if (c == '"' || c == '\\') out += '\\';
            out += c;
        }
        out += '"';
    }
    return out;
}

}  // namespace holdfast::admin
