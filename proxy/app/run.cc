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
#include "proxy/app/service.h"
#include "proxy/loop/loop.h"

namespace holdfast::app {

namespace {

/// The running process: what serves, what tells about it, and how it ends. Lives inside run().
class Process {
public:
    Process(loop::Loop& loop, Log& log, const config::Settings& settings)
        : loop_(loop),
          log_(log),
          settings_(settings),
          metrics_(static_cast<double>(loop.unix_seconds())),
          service_(loop, log, metrics_, settings),
          manager_(loop.events()),
          lag_(loop.events(), [this](Duration lag) { metrics_.loop_was_late(lag); }) {}

    /// Opens every address. The admin address comes last: who sees it answer can count on the others.
    Status start() {
        if (Status started = service_.start(); !started) return started;
        auto http = admin::HttpServer::start(loop_.events(), log_, settings_.admin,
                                             {.ready = [this] { return service_.ready(); },
                                              .ready_detail = [this] { return service_.ready_detail(); },
                                              .metrics = [this] { return metrics_.exposition(); }});
        if (!http) return http.error();
        http_ = *std::move(http);
        for (const int signal : {SIGTERM, SIGINT}) {
            signals_.push_back(loop_.on_signal(signal, [this] { stop(); }));
        }
        signals_.push_back(loop_.on_signal(SIGHUP, [this] {
            log_.warn("reload_refused",
                      {{"reason", "this version takes a new configuration at a restart only"}});
        }));
        manager_.announce_ready([this] { return service_.ready(); }, [this] { log_.info("ready", {}); });
        return {};
    }

private:
    void stop() {
        if (is_stopping_) {
            log_.warn("stopping_now", {{"reason", "a second signal"}});
            loop_.stop();
            return;
        }
        is_stopping_ = true;
        log_.info("stopping", {{"drain_timeout_ms", settings_.proxy.drain_timeout.count()}});
        manager_.announce_stopping();
        drain_timer_ = loop_.events().after(settings_.proxy.drain_timeout, [this] {
            log_.warn("stopping_now", {{"reason", "clients were not done within proxy.drain_timeout"}});
            loop_.stop();
        });
        service_.shut_down([this] { loop_.stop(); });
    }

    loop::Loop& loop_;
    Log& log_;
    const config::Settings& settings_;
    admin::PrometheusMetrics metrics_;
    Service service_;
    ServiceManager manager_;
    LoopLag lag_;
    std::unique_ptr<admin::HttpServer> http_;
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
    const std::optional<config::Settings> settings = load(config_file);
    if (!settings) return 1;

    // A peer or a log reader that is gone is an error of the call that writes, not the end of the process.
    std::signal(SIGPIPE, SIG_IGN);
    admin::SpdLog log(settings->proxy.log_format, admin::to_level(settings->proxy.log_level));
    log.info("starting", {{"version", HOLDFAST_VERSION}, {"pid", ::getpid()}, {"config", config_file}});
    if (const auto advice = descriptor_advice(raise_descriptor_limit(), *settings)) {
        log.warn("too_few_descriptors", {{"advice", *advice}});
    }

    auto loop = loop::Loop::create();
    if (!loop) return fail(log, loop.error());
    {
        Process process(**loop, log, *settings);
        if (Status started = process.start(); !started) return fail(log, started.error());
        (*loop)->run();
    }
    log.info("stopped", {});
    return 0;
}

}  // namespace holdfast::app
