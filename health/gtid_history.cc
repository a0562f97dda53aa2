#include "health/gtid_history.h"

#include <algorithm>

namespace holdfast::health {

Position GtidHistory::add(const GtidSet& set) {
    if (!samples_.empty() && samples_.back().set == set) return samples_.back().position;
    while (!samples_.empty() && !set.covers(samples_.back().set)) samples_.pop_back();
    if (samples_.size() >= samples_max) thin_out();
    ++last_.lsn;
    samples_.push_back({last_, set});
    return last_;
}

Position GtidHistory::find(const GtidSet& set) const {
    const auto behind = std::partition_point(samples_.begin(), samples_.end(),
                                             [&](const Sample& sample) { return set.covers(sample.set); });
    return behind == samples_.begin() ? Position{} : (behind - 1)->position;
}

/// Drops every other one of the older half, as LagSamples does; the oldest one stays.
void GtidHistory::thin_out() {
    const size_t half = samples_.size() / 2;
    size_t kept = 0;
    for (size_t i = 0; i < samples_.size(); ++i) {
        if (i >= half || i % 2 == 0) {
            if (kept != i) samples_[kept] = std::move(samples_[i]);
            ++kept;
        }
    }
    samples_.resize(kept);
}

}  // namespace holdfast::health
