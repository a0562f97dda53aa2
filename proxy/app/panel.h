#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config/settings.h"
#include "protocol/base/log.h"
#include "proxy/admin/control.h"
#include "proxy/admin/timeline.h"
#include "proxy/app/duties.h"
#include "proxy/app/reload.h"
#include "proxy/app/service.h"
#include "proxy/loop/loop.h"

namespace holdfast::app {

/// What operators can see and do: the running process behind the admin address. Owns none of its parts and
/// must not outlive them.
class Panel final : public admin::Control {
public:
    struct Parts {
        loop::Loop& loop;
        Log& log;
        Service& service;
        Duties& duties;
        Reloader& reloader;
        const admin::Timeline& timeline;
        /// The configuration in use; null before there is one.
        std::function<std::shared_ptr<const config::Settings>()> settings;
    };
    explicit Panel(Parts parts);

    nlohmann::json status() const override;
    nlohmann::json sessions(const admin::SessionQuery& query) const override;
    nlohmann::json events(uint64_t after) const override;
    nlohmann::json config() const override;
    void diff(admin::OnOutcome on_done) override;
    void reload(const admin::Actor& actor, admin::OnOutcome on_done) override;
    void set_duty(const std::string& cluster, const std::string& server, health::Duty duty, bool force,
                  const admin::Actor& actor, admin::OnOutcome on_done) override;
    admin::Outcome pause(const std::string& cluster, std::chrono::milliseconds limit,
                         const admin::Actor& actor) override;
    admin::Outcome resume(const std::string& cluster, const admin::Actor& actor) override;
    admin::Outcome end_session(uint64_t session, const admin::Actor& actor) override;

private:
    const Service::ClusterRef* find(const std::vector<Service::ClusterRef>& all,
                                    const std::string& cluster) const;
    std::optional<admin::Outcome> objection(const engine::Cluster& cluster, const health::ServerView& server,
                                            health::Duty duty) const;
    static admin::Outcome outcome_of(const Reloader::Report& report);

    Parts parts_;
    TimePoint started_at_;
    int64_t started_unix_s_;
};

}  // namespace holdfast::app
