#include "proxy/app/run.h"

#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "config/load.h"
#include "proxy/admin/api.h"
#include "proxy/admin/gzip.h"
#include "proxy/admin/http.h"
#include "proxy/admin/log_spdlog.h"
#include "proxy/admin/metrics.h"
#include "proxy/admin/page_tables.h"
#include "proxy/admin/timeline.h"
#include "proxy/app/config_watch.h"
#include "proxy/app/descriptors.h"
#include "proxy/app/duties.h"
#include "proxy/app/loop_lag.h"
#include "proxy/app/notify.h"
#include "proxy/app/panel.h"
#include "proxy/app/reload.h"
#include "proxy/app/samples.h"
#include "proxy/app/service.h"
#include "proxy/loop/loop.h"

namespace holdfast::app {

namespace {

/// Where administrative states are kept: as configured, else in the folder that systemd gives a unit.
/// spec    systemd.exec(5), StateDirectory=
std::string state_file(const config::Proxy& settings) {
    if (!settings.state_file.empty()) return settings.state_file;
    const char* const folder = std::getenv("STATE_DIRECTORY");
    if (folder == nullptr || *folder == '\0') return {};
    const std::string_view all(folder);
    return std::string(all.substr(0, all.find(':'))) + "/state.json";
}

/// The running process: what serves, what tells about it, and how it ends. Lives inside run().
class Process {
    using ConfigResult = admin::PrometheusMetrics::ConfigResult;

public:
    Process(loop::Loop& loop, admin::SpdLog& log, const std::string& config_file)
        : loop_(loop),
          program_log_(log),
          timeline_(log),
          log_(timeline_),
          metrics_(static_cast<double>(loop.unix_seconds())),
          duties_(loop, log_),
          service_(loop, log_, metrics_, duties_),
          manager_(loop.events()),
          lag_(loop.events(), [this](Duration lag) { metrics_.loop_was_late(lag); }),
          reloader_(
              loop, log_, manager_, config_file,
              [this](const Candidate& candidate) { return apply(candidate, true); },
              [this](const Reloaded& reloaded) { on_reloaded(reloaded); }),
          watch_(
              loop, log_,
              [this](bool is_in_use) {
                  metrics_.set_config_in_sync(is_in_use && !reloader_.needs_restart());
              },
              [this] {
                  if (settings_->reload.watch && !is_stopping_) reloader_.request();
              }),
          panel_({loop, log_, service_, duties_, reloader_, timeline_, [this] { return settings_; }}) {
        metrics_.on_exposition([this] { take_samples(loop_, program_log_, service_, metrics_); });
    }

    /// Opens every address, and begins.
    Status start(const Candidate& candidate) {
        reloader_.begin_with(candidate);
        duties_.open(state_file(candidate.settings->proxy));
        if (Status applied = apply(candidate, false); !applied) return applied;
        metrics_.config_read(ConfigResult::started, static_cast<double>(loop_.unix_seconds()));
        watch_.follow(settings_->sources, ConfigWatch::Use::yes, attention());
        for (const int signal : {SIGTERM, SIGINT}) {
            signals_.push_back(loop_.on_signal(signal, [this] { stop(); }));
        }
        signals_.push_back(loop_.on_signal(SIGHUP, [this] {
            if (!is_stopping_) reloader_.request();
        }));
        manager_.show([this] { return service_.status_line(); });
        manager_.announce_ready([this] { return service_.ready(); }, [this] { log_.info("ready", {}); });
        return {};
    }

private:
    /// Takes a configuration into use: all of it, or nothing. The admin address comes last: who sees it
    /// answer at the start can count on the others.
    Status apply(const Candidate& candidate, bool is_reload) {
        const config::Settings& next = *candidate.settings;
        if (is_reload) {
            if (Status opened = http_->open(next.admin); !opened) return opened;
        }
        if (Status applied = service_.apply(candidate); !applied) {
            if (is_reload) http_->forget_opened();
            return applied;
        }
        if (is_reload) {
            http_->keep(next.admin);
        } else {
            auto opened = open_admin(next.admin);
            if (!opened) return opened.error();
            http_ = *std::move(opened);
        }
        settings_ = candidate.settings;
        duties_.forget_absent(next);
        program_log_.set_threshold(admin::to_level(next.proxy.log_level));
        program_log_.set_format(next.proxy.log_format);
        const uint64_t descriptors = raise_descriptor_limit();
        loop_.set_descriptor_ceiling(descriptor_ceiling(descriptors));
        if (const auto advice = descriptor_advice(descriptors, next)) {
            log_.warn("too_few_descriptors", {{"advice", *advice}});
        }
        return {};
    }

    void on_reloaded(const Reloaded& reloaded) {
        const bool is_in_use = reloaded.result != Reloaded::Result::rejected;
        const auto result = !is_in_use                                       ? ConfigResult::rejected
                            : reloaded.result == Reloaded::Result::unchanged ? ConfigResult::unchanged
                                                                             : ConfigResult::applied;
        metrics_.config_read(result, static_cast<double>(loop_.unix_seconds()));
        watch_.follow(reloaded.sources, is_in_use ? ConfigWatch::Use::yes : ConfigWatch::Use::no,
                      attention());
    }

    ConfigWatch::Attention attention() const {
        return settings_->reload.watch ? ConfigWatch::Attention::fast : ConfigWatch::Attention::slow;
    }

    Result<std::unique_ptr<admin::HttpServer>> open_admin(const config::Admin& admin) {
        return admin::HttpServer::start(
            loop_.events(), log_, admin,
            {.ready = [this] { return service_.ready(); },
             .ready_detail = [this] { return service_.ready_detail(); },
             .metrics = [this] { return metrics_.exposition(); },
             .status_page = [this] { return page(); },
             .api =
                 [this](const admin::Request& request, admin::Reply reply) {
                     admin::answer_api(request, settings_->admin.token, panel_, reply);
                 },
             .compress =
                 [this](std::string text, std::function<void(std::string)> on_done) {
                     compress(std::move(text), std::move(on_done));
                 },
             .on_answered = [this](std::string_view method, std::string_view path,
                                   unsigned status) { metrics_.admin_answered(method, path, status); }});
    }

    /// On another thread; what it says comes back here.
    void compress(std::string text, std::function<void(std::string)> on_done) {
        auto shared = std::make_shared<std::string>(std::move(text));
        loop_.offload([shared] { *shared = admin::gzip(*shared); },
                      [shared, on_done = std::move(on_done)] { on_done(std::move(*shared)); });
    }

    std::string page() const { return admin::status_page(admin::page_text(), panel_.status()); }

    void stop() {
        if (is_stopping_) {
            log_.warn("stopping_now", {{"reason", "a second signal"}});
            loop_.stop();
            return;
        }
        is_stopping_ = true;
        const auto limit = settings_->proxy.drain_timeout;
        log_.info("stopping", {{"drain_timeout_ms", limit.count()}});
        manager_.announce_stopping(limit);
        drain_timer_ = loop_.events().after(limit, [this] {
            log_.warn("stopping_now", {{"reason", "clients were not done within proxy.drain_timeout"}});
            loop_.stop();
        });
        service_.shut_down([this] { loop_.stop(); });
    }

    loop::Loop& loop_;
    admin::SpdLog& program_log_;
    admin::Timeline timeline_;
    Log& log_;
    std::shared_ptr<const config::Settings> settings_;
    admin::PrometheusMetrics metrics_;
    Duties duties_;
    Service service_;
    ServiceManager manager_;
    LoopLag lag_;
    Reloader reloader_;
    ConfigWatch watch_;
    Panel panel_;
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
