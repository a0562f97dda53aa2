#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "health/view.h"

namespace holdfast::admin {

/// Who asks, for the log.
struct Actor {
    std::string who;     // "unix socket, user 0", an address
    std::string reason;  // in the operator's words; may be empty
};

/// The result of something asked for: an HTTP status and a JSON object. What is refused has
/// {"error": {"message", "advice"}}.
struct Outcome {
    unsigned status = 200;
    nlohmann::json body = nlohmann::json::object();
};
Outcome refusal(unsigned status, std::string message, std::string advice = {});
using OnOutcome = std::function<void(Outcome)>;

/// What is listed first.
enum class SessionOrder : uint8_t {
    waiting,  // held longest, then running longest
    id,
    age,
    statements,
    bytes,
};
inline constexpr SessionOrder session_orders[] = {SessionOrder::waiting, SessionOrder::id, SessionOrder::age,
                                                  SessionOrder::statements, SessionOrder::bytes};
/// The word for it in requests.
std::string_view to_string(SessionOrder order);

/// Which sessions are asked for. Bounded: listing them stops the event loop for as long as it takes.
struct SessionQuery {
    static constexpr size_t limit_default = 100;
    static constexpr size_t limit_max = 500;

    std::string cluster = {};  // empty: of all
    std::string filter = {};   // words that must occur in what is shown of the session; empty: all fit
    SessionOrder order = SessionOrder::waiting;
    size_t offset = 0;
    size_t limit = limit_default;
};

/// What the admin address asks of the program; implemented by proxy/app. On the event loop. `on_done` is
/// called once, at once or later.
class Control {
public:
    virtual ~Control() = default;
    virtual nlohmann::json status() const = 0;
    virtual nlohmann::json sessions(const SessionQuery& query) const = 0;
    /// Those with a number above `after`, oldest first.
    virtual nlohmann::json events(uint64_t after) const = 0;
    /// The configuration in use, without its secrets.
    virtual nlohmann::json config() const = 0;
    /// What a reload would change.
    virtual void diff(OnOutcome on_done) = 0;
    virtual void reload(const Actor& actor, OnOutcome on_done) = 0;
    /// `force`: also where that costs something, which the refusal names.
    virtual void set_duty(const std::string& cluster, const std::string& server, health::Duty duty,
                          bool force, const Actor& actor, OnOutcome on_done) = 0;
    /// `limit` 0: until resume().
    virtual Outcome pause(const std::string& cluster, std::chrono::milliseconds limit,
                          const Actor& actor) = 0;
    virtual Outcome resume(const std::string& cluster, const Actor& actor) = 0;
    virtual Outcome end_session(uint64_t session, const Actor& actor) = 0;
};

}  // namespace holdfast::admin
