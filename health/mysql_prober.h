#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "config/settings.h"
#include "health/event_loop.h"
#include "health/mysql_connection.h"
#include "health/mysql_facts.h"
#include "health/prober.h"

namespace holdfast::health {

/// Probes MySQL and MariaDB servers with the service account: one persistent connection each, and a few
/// questions a probe, the second of which follows from the first. A connection that breaks fails the probe
/// under way, or is news between probes; the next probe connects anew. Without a service account a probe only
/// tells whether the server answers a login at all (Outcome::alive).
class MysqlProber final : public Prober {
public:
    /// Must not outlive `loop`.
    MysqlProber(const config::Cluster& cluster, EventLoop& loop);
    ~MysqlProber() override;

    void probe(const config::Server& server, ServerId id, std::function<void(Observation)> done) override;
    Outcome cancel(ServerId id) override;
    void notify(std::function<void(ServerId, Hint)> on_news) override { on_news_ = std::move(on_news); }

private:
    enum class Question { variables, gtid_executed, galera, group, sources };
    struct Target {
        std::unique_ptr<MysqlConnection> connection;
        std::function<void(Observation)> done;  // set while a probe is under way
        TimePoint started_at{};
        Observation observation;
        MysqlQuestions more;  // still to be asked
    };

    void ask(ServerId id, Question question);
    void answered(ServerId id, Question question, MysqlConnection::Answer answer);
    void read(Target& target, Question question, const MysqlRows& rows);
    bool takes_refusal(Target& target, Question question, const MysqlConnection::Failure& failure) const;
    void ask_more(ServerId id);
    void finish(ServerId id);

    MysqlConnection::Login login_;
    bool has_account_;
    EventLoop& loop_;
    std::function<void(ServerId, Hint)> on_news_;
    std::unordered_map<ServerId, Target> targets_;
};

}  // namespace holdfast::health
