#pragma once

#include "health/observation.h"

/// Probing without a service account.
namespace holdfast::health {

/// Who asks then: any server that lives answers a login, if only to refuse it.
inline constexpr const char* stranger = "holdfast";

/// What an answer to a stranger is worth: the server lives, and no more is known.
inline void settle_for_life(Observation& observation) {
    const bool is_answer = observation.outcome == Outcome::ok || observation.outcome == Outcome::auth ||
                           observation.outcome == Outcome::too_many;
    if (!is_answer) return;
    observation.outcome = Outcome::alive;
    observation.text.clear();
}

}  // namespace holdfast::health
