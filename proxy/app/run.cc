#include "proxy/app/run.h"

#include <csignal>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "config/load.h"
#include "proxy/admin/http.h"
#include "proxy/admin/log_spdlog.h"
#include "proxy/admin/metrics.h"
#include "proxy/app/descriptors.h"
#include "proxy/app/loop_lag.h"
#include "proxy/app/notify.h"
#include "proxy/app/reload.h"
#include "proxy/app/service.h"
#include "proxy/loop/loop.h"

namespace holdfast::app {

namespace {

/// The running process: what serves, what tells about it, and how it ends. Lives inside run().
class Process {
public:
    Process(loop::Loop& loop, admin::SpdLog& log, const std::string& config_file)
        : loop_(loop),
          log_(log),
          metrics_(static_cast<double>(loop.unix_seconds())),
          service_(loop, log, metrics_),
          manager_(loop.events()),
          lag_(loop.events(), [this](Duration lag) { metrics_.loop_was_late(lag); }),
          reloader_(
              loop, log, config_file, [this](const Candidate& candidate) { return apply(candidate, true); },
              [this] { metrics_.config_rejected(); }) {}

    /// Opens every address, and begins.
    Status start(const Candidate& candidate) {
        reloader_.keep_rsa(candidate.rsa);
        if (Status applied = apply(candidate, false); !applied) return applied;
        for (const int signal : {SIGTERM, SIGINT}) {
            signals_.push_back(loop_.on_signal(signal, [this] { stop(); }));
        }
        signals_.push_back(loop_.on_signal(SIGHUP, [this] {
            if (!is_stopping_) reloader_.request();
        }));
        manager_.announce_ready([this] { return service_.ready(); }, [this] { log_.info("ready", {}); });
        return {};
    }

private:
    /// Takes a configuration into use: all of it, or nothing. The admin address comes last: who sees it
    /// answer at the start can count on the others.
    Status apply(const Candidate& candidate, bool is_reload) {
        const config::Settings& next = *candidate.settings;
        const bool is_same_address = settings_ && settings_->admin.listen == next.admin.listen &&
                                     settings_->admin.socket == next.admin.socket;
        std::unique_ptr<admin::HttpServer> http;
        if (is_reload && !is_same_address) {
            auto opened = open_admin(next.admin);
            if (!opened) return opened.error();
            http = *std::move(opened);
        }
        if (Status applied = service_.apply(candidate); !applied) return applied;
        if (!is_reload) {
            auto opened = open_admin(next.admin);
            if (!opened) return opened.error();
            http = *std::move(opened);
        }
        if (http) http_ = std::move(http);
        settings_ = candidate.settings;
        log_.set_threshold(admin::to_level(next.proxy.log_level));
        log_.set_format(next.proxy.log_format);
        const uint64_t descriptors = raise_descriptor_limit();
        loop_.set_descriptor_ceiling(descriptor_ceiling(descriptors));
        if (const auto advice = descriptor_advice(descriptors, next)) {
            log_.warn("too_few_descriptors", {{"advice", *advice}});
        }
        metrics_.config_applied(static_cast<double>(loop_.unix_seconds()), is_reload);
        return {};
    }

    Result<std::unique_ptr<admin::HttpServer>> open_admin(const config::Admin& admin) {
        return admin::HttpServer::start(loop_.events(), log_, admin,
                                        {.ready = [this] { return service_.ready(); },
                                         .ready_detail = [this] { return service_.ready_detail(); },
                                         .metrics = [this] { return metrics_.exposition(); }});
    }

    void stop() {
        if (is_stopping_) {
            log_.warn("stopping_now", {{"reason", "a second signal"}});
            loop_.stop();
            return;
        }
        is_stopping_ = true;
        const auto limit = settings_->proxy.drain_timeout;
        log_.info("stopping", {{"drain_timeout_ms", limit.count()}});
        manager_.announce_stopping();
        drain_timer_ = loop_.events().after(limit, [this] {
            log_.warn("stopping_now", {{"reason", "clients were not done within proxy.drain_timeout"}});
            loop_.stop();
        });
        service_.shut_down([this] { loop_.stop(); });
    }

    loop::Loop& loop_;
    admin::SpdLog& log_;
    std::shared_ptr<const config::Settings> settings_;
    admin::PrometheusMetrics metrics_;
    Service service_;
    ServiceManager manager_;
    LoopLag lag_;
    std::unique_ptr<admin::HttpServer> http_;
    Reloader reloader_;
    std::vector<std::unique_ptr<health::Watch>> signals_;
    std::unique_ptr<health::Watch> drain_timer_;
    bool is_stopping_ = false;
};

int fail(Log& log, const Error& error) {
    log.error("start_failed", {{"error", error.message}});
    return 1;
}

/// Errors in the layout of the file go to stderr as `check` prints them: a log line has no room for a caret.
std::optional<config::Settings> load(const std::string& config_file) {
    config::Loaded loaded = config::load_file(config_file);
    for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
        std::cerr << format(diagnostic, loaded.source) << '\n';
    }
    std::cerr << std::flush;
    return std::move(loaded.settings);
}

}  // namespace

int run(const std::string& config_file) {
    std::optional<config::Settings> settings = load(config_file);
    if (!settings) return 1;

    // A peer or a log reader that is gone is an error of the call that writes, not the end of the process.
    std::signal(SIGPIPE, SIG_IGN);
    admin::SpdLog log(settings->proxy.log_format, admin::to_level(settings->proxy.log_level));
    log.info("starting", {{"version", HOLDFAST_VERSION}, {"pid", ::getpid()}, {"config", config_file}});
    const auto candidate = prepare(*std::move(settings), nullptr);
    if (!candidate) return fail(log, candidate.error());

    auto loop = loop::Loop::create();
    if (!loop) return fail(log, loop.error());
    {
        Process process(**loop, log, config_file);
        if (Status started = process.start(*candidate); !started) return fail(log, started.error());
        (*loop)->run();
    }
    log.info("stopped", {});
    return 0;
}

}  // namespace holdfast::app
