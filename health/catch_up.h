#pragma once

#include <cstdint>
#include <optional>

#include "protocol/base/clock.h"

namespace holdfast::health {

/// Whether a replica that came back gets nearer to its primary: "catching up", as against "lagging". Pure;
/// the time is an argument and does not run backwards.
class CatchUp {
public:
    /// So long it may come no nearer than it was.
    static constexpr Duration patience = std::chrono::minutes(2);

    /// How far it was behind at `at`, in whatever unit: bytes, transactions, time. The first measurement has
    /// the benefit of the doubt. A replica that was given up is believed again when the gap is a quarter
    /// smaller: one that is kept behind by intention goes up and down a little, too.
    void measured(uint64_t gap, TimePoint at) {
        if (!nearest_) {
            nearest_ = gap;
            since_ = at;
            is_approaching_ = true;
        } else if (is_approaching_ ? gap < *nearest_ : gap <= *nearest_ - *nearest_ / 4 && gap < *nearest_) {
            nearest_ = gap;
            since_ = at;
            is_approaching_ = true;
        } else if (at - since_ > patience) {
            is_approaching_ = false;
            nearest_ = gap;  // the primary may have written faster than it can replay for a while
            since_ = at;
        }
    }
    bool is_approaching() const { return is_approaching_; }
    bool is_measured() const { return nearest_.has_value(); }

private:
    std::optional<uint64_t> nearest_;
    TimePoint since_{};  // it was that near
    bool is_approaching_ = false;
};

}  // namespace holdfast::health
