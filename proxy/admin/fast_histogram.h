#pragma once

#include <algorithm>
#include <vector>

#include <prometheus/histogram.h>

#include "proxy/admin/metric_table.h"

namespace holdfast::admin {

/// Observations of a histogram in plain numbers, for what happens with every statement: the histogram itself
/// is made for threads, and each change of it waits for the processor's memory.
class FastHistogram {
public:
    FastHistogram(prometheus::Histogram* shown, Buckets bounds)
        : shown_(shown), bounds_(bounds), in_bucket_(bounds.size() + 1, 0) {}

    /// The bucket that a value belongs to. Most statements are short: it is found from the front.
    static size_t bucket_of(double value, Buckets bounds) {
        size_t bucket = 0;
        while (bucket < bounds.size() && value > bounds[bucket]) ++bucket;
        return bucket;
    }
    void observe(double value) { observe(value, bucket_of(value, bounds_)); }
    /// The same where the bucket is known already.
    void observe(double value, size_t bucket) {
        in_bucket_[bucket] += 1;
        sum_ += value;
        is_empty_ = false;
    }
    /// Shows what was observed since the last time.
    void publish() {
        if (is_empty_) return;
        shown_->ObserveMultiple(in_bucket_, sum_);
        std::fill(in_bucket_.begin(), in_bucket_.end(), 0);
        sum_ = 0;
        is_empty_ = true;
    }

private:
    prometheus::Histogram* shown_;
    Buckets bounds_;
    std::vector<double> in_bucket_;
    double sum_ = 0;
    bool is_empty_ = true;
};

}  // namespace holdfast::admin
