#include "proxy/app/reload.h"

#include <optional>
#include <utility>

namespace holdfast::app {

namespace {

/// Of a log line's list of changed keys.
constexpr size_t summary_bytes_max = 1'000;

}  // namespace

/// Filled in off the loop.
struct Reloader::Work {
    config::Loaded loaded;
    std::optional<Result<Candidate>> candidate;
    std::vector<config::Change> changes;  // from what was in use when the work began, and still is
};

Reloader::Reloader(loop::Loop& loop, Log& log, ServiceManager& manager, std::string config_file,
                   std::function<Status(const Candidate&)> apply,
                   std::function<void(const Reloaded&)> on_done)
    : loop_(loop),
      log_(log),
      manager_(manager),
      config_file_(std::move(config_file)),
      apply_(std::move(apply)),
      on_done_(std::move(on_done)),
      self_(std::make_shared<Reloader*>(this)) {}

Reloader::~Reloader() {
    *self_ = nullptr;
}

void Reloader::begin_with(const Candidate& candidate) {
    present_ = candidate.settings;
    rsa_ = candidate.rsa;
}

void Reloader::begin(std::function<void(Reloader&, Work&)> on_read) {
    auto work = std::make_shared<Work>();
    loop_.offload(
        [work, file = config_file_, rsa = rsa_, present = present_] {
            work->loaded = config::load_file(file);
            if (!work->loaded.settings) return;
            work->changes = config::compare(*present, *work->loaded.settings);
            work->candidate = prepare(*std::move(work->loaded.settings), rsa);
        },
        [work, self = self_, on_read = std::move(on_read)] {
            if (*self != nullptr) on_read(**self, *work);
        });
}

void Reloader::request(OnReport on_report) {
    if (is_under_way_) {
        again_ = true;
        if (on_report) next_.push_back(std::move(on_report));
        return;
    }
    is_under_way_ = true;
    waiting_ = std::exchange(next_, {});
    if (on_report) waiting_.push_back(std::move(on_report));
    manager_.announce_reloading();
    log_.info("reloading", {{"config", config_file_}});
    begin([](Reloader& self, Work& work) { self.finish(work); });
}

void Reloader::examine(OnReport on_report) {
    begin([on_report = std::move(on_report)](Reloader&, Work& work) { on_report(report_of(work)); });
}

Reloader::Report Reloader::report_of(const Work& work) {
    Report report{{}, work.loaded.diagnostics, work.changes};
    if (!work.candidate) {
        report.result = Error{ErrorCode::bad_value, "the file has errors"};
    } else if (!*work.candidate) {
        report.result = work.candidate->error();
    }
    return report;
}

void Reloader::finish(const Work& work) {
    for (const config::Diagnostic& diagnostic : work.loaded.diagnostics) {
        const bool is_error = diagnostic.severity == config::Diagnostic::Severity::error;
        log_.write(is_error ? LogLevel::error : LogLevel::warn, is_error ? "config_error" : "config_warning",
                   {{"file", diagnostic.file},
                    {"line", diagnostic.line},
                    {"column", diagnostic.column},
                    {"message", diagnostic.message}});
    }
    Reloaded outcome;
    outcome.sources = work.loaded.sources;
    Report report = report_of(work);
    if (report.result) report.result = take(work);
    if (!report.result) {
        log_.error("reload_rejected",
                   {{"config", config_file_},
                    {"reason", report.result.error().message},
                    {"advice", "the configuration in use stays; correct the file and reload again"}});
    } else if (work.changes.empty()) {
        outcome.result = Reloaded::Result::unchanged;
        log_.info("reload_unchanged", {{"config", config_file_}});
    } else {
        outcome.result = Reloaded::Result::applied;
        log_.info("reload_applied", {{"config", config_file_},
                                     {"changed", config::summarise(work.changes, summary_bytes_max)}});
    }
    manager_.announce_reloaded(static_cast<bool>(report.result));
    is_under_way_ = false;
    for (const OnReport& on_report : std::exchange(waiting_, {})) on_report(report);
    if (std::exchange(again_, false)) request();
    on_done_(outcome);
}

/// What did not change is applied all the same: whoever asks for a reload gets one.
Status Reloader::take(const Work& work) {
    const Candidate& candidate = **work.candidate;
    rsa_ = candidate.rsa;
    if (Status applied = apply_(candidate); !applied) return applied;
    present_ = candidate.settings;
    note_restarts(work.changes);
    return {};
}

void Reloader::note_restarts(const std::vector<config::Change>& changes) {
    std::vector<config::Change> waiting;
    for (const config::Change& change : changes) {
        if (change.reload != config::Reload::restart) continue;
        const std::string in_use = until_restart_.try_emplace(change.path, change.before).first->second;
        if (in_use == change.after) {
            until_restart_.erase(change.path);
        } else {
            waiting.push_back(change);
        }
    }
    if (waiting.empty()) return;
    log_.warn("restart_needed", {{"keys", config::summarise(waiting, summary_bytes_max)},
                                 {"advice", "what these keys say counts from the next start"}});
}

}  // namespace holdfast::app
