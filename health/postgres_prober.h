#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "config/settings.h"
#include "health/event_loop.h"
#include "health/postgres_connection.h"
#include "health/prober.h"

namespace holdfast::health {

/// Probes PostgreSQL servers with the service account: one persistent connection each, one SELECT a probe
/// that brings all facts together. A connection that breaks fails the probe under way, or is news between
/// probes; the next probe connects anew. Without a service account a probe only tells whether the server
/// answers a login at all (Outcome::alive).
class PostgresProber final : public Prober {
public:
    /// Must not outlive `loop`.
    PostgresProber(const config::Cluster& cluster, EventLoop& loop);
    ~PostgresProber() override;

    void probe(const config::Server& server, ServerId id, std::function<void(Observation)> done) override;
    Outcome cancel(ServerId id) override;
    void notify(std::function<void(ServerId, Hint)> on_news) override { on_news_ = std::move(on_news); }

private:
    struct Target {
        std::unique_ptr<PostgresConnection> connection;
        std::function<void(Observation)> done;  // set while a probe is under way
        TimePoint started_at{};
        bool asked_again = false;
    };

    void ask(ServerId id, Target& target);
    void answered(ServerId id, PostgresConnection::Answer answer);

    PostgresConnection::Login login_;
    bool has_account_;
    EventLoop& loop_;
    std::function<void(ServerId, Hint)> on_news_;
    std::unordered_map<ServerId, Target> targets_;
};

}  // namespace holdfast::health
