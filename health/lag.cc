#include "health/lag.h"

#include <algorithm>

namespace holdfast::health {

void LagSamples::add(Position position, TimePoint sent_at, TimePoint received_at) {
    if (!samples_.empty()) {
        Sample& last = samples_.back();
        if (position == last.position) {
            last.last_sent_at = std::max(last.last_sent_at, sent_at);
            return;
        }
        if (position < last.position) samples_.clear();
    }
    if (samples_.size() >= samples_max) thin_out();
    samples_.push_back({position, received_at, sent_at});
}

/// Drops every other one of the older half: recent lag is measured finely, old lag coarsely, and the oldest
/// sample stays, so that the reach grows with every round.
void LagSamples::thin_out() {
    const size_t half = samples_.size() / 2;
    size_t kept = 0;
    for (size_t i = 0; i < samples_.size(); ++i) {
        if (i >= half || i % 2 == 0) samples_[kept++] = samples_[i];
    }
    samples_.resize(kept);
}

std::optional<Duration> LagSamples::lag(Position replayed, TimePoint asked_at) const {
    if (samples_.empty()) return std::nullopt;
    if (replayed.covers(samples_.back().position)) return Duration::zero();
    // A sample that came in after the replica was asked may well show what was written after, too.
    const auto known_then = std::find_if(samples_.rbegin(), samples_.rend(), [&](const Sample& sample) {
        return sample.first_received_at <= asked_at;
    });
    if (known_then == samples_.rend()) return std::nullopt;
    if (replayed.covers(known_then->position)) return Duration::zero();
    const auto reached = std::find_if(known_then, samples_.rend(),
                                      [&](const Sample& sample) { return replayed.covers(sample.position); });
    if (reached == samples_.rend()) return std::nullopt;
    return std::max(Duration::zero(), asked_at - reached->last_sent_at);
}

}  // namespace holdfast::health
