#include "proxy/app/reload.h"

#include <optional>
#include <utility>

namespace holdfast::app {

/// Filled in off the loop.
struct Reloader::Work {
    config::Loaded loaded;
    std::optional<Result<Candidate>> candidate;
};

Reloader::Reloader(loop::Loop& loop, Log& log, ServiceManager& manager, std::string config_file,
                   std::function<Status(const Candidate&)> apply, std::function<void()> on_rejected)
    : loop_(loop),
      log_(log),
      manager_(manager),
      config_file_(std::move(config_file)),
      apply_(std::move(apply)),
      on_rejected_(std::move(on_rejected)),
      self_(std::make_shared<Reloader*>(this)) {}

Reloader::~Reloader() {
    *self_ = nullptr;
}

void Reloader::begin(std::function<void(Reloader&, Work&)> on_read) {
    auto work = std::make_shared<Work>();
    loop_.offload(
        [work, file = config_file_, rsa = rsa_] {
            work->loaded = config::load_file(file);
            if (work->loaded.settings) work->candidate = prepare(*std::move(work->loaded.settings), rsa);
        },
        [work, self = self_, on_read = std::move(on_read)] {
            if (*self != nullptr) on_read(**self, *work);
        });
}

void Reloader::request(OnReport on_done) {
    if (is_under_way_) {
        again_ = true;
        if (on_done) next_.push_back(std::move(on_done));
        return;
    }
    is_under_way_ = true;
    waiting_ = std::exchange(next_, {});
    if (on_done) waiting_.push_back(std::move(on_done));
    manager_.announce_reloading();
    log_.info("reloading", {{"config", config_file_}});
    begin([](Reloader& self, Work& work) { self.finish(work); });
}

void Reloader::examine(OnReport on_done) {
    begin([on_done = std::move(on_done)](Reloader&, Work& work) { on_done(report_of(work)); });
}

Reloader::Report Reloader::report_of(const Work& work) {
    Report report;
    report.diagnostics = work.loaded.diagnostics;
    if (!work.candidate) {
        report.result = Error{ErrorCode::bad_value, "the file has errors"};
    } else if (!*work.candidate) {
        report.result = work.candidate->error();
    } else {
        report.settings = (*work.candidate)->settings;
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
    Report report = report_of(work);
    if (report.result) {
        rsa_ = (*work.candidate)->rsa;
        report.result = apply_(**work.candidate);
    }
    const Status& result = report.result;
    if (result) {
        log_.info("reload_applied", {{"config", config_file_}});
    } else {
        log_.error("reload_rejected",
                   {{"config", config_file_},
                    {"reason", result.error().message},
                    {"advice", "the configuration in use stays; correct the file and reload again"}});
        on_rejected_();
    }
    manager_.announce_reloaded(static_cast<bool>(result));
    is_under_way_ = false;
    for (const OnReport& on_done : std::exchange(waiting_, {})) on_done(report);
    if (std::exchange(again_, false)) request();
}

}  // namespace holdfast::app
