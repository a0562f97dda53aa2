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

void Reloader::request() {
    if (std::exchange(is_under_way_, true)) {
        again_ = true;
        return;
    }
    manager_.announce_reloading();
    log_.info("reloading", {{"config", config_file_}});
    auto work = std::make_shared<Work>();
    loop_.offload(
        [work, file = config_file_, rsa = rsa_] {
            work->loaded = config::load_file(file);
            if (work->loaded.settings) work->candidate = prepare(*std::move(work->loaded.settings), rsa);
        },
        [work, self = self_] {
            if (*self != nullptr) (*self)->finish(*work);
        });
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
    Status result{};
    if (!work.candidate) {
        result = Error{ErrorCode::bad_value, "the file has errors"};
    } else if (!*work.candidate) {
        result = work.candidate->error();
    } else {
        rsa_ = (*work.candidate)->rsa;
        result = apply_(**work.candidate);
    }
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
    if (std::exchange(again_, false)) request();
}

}  // namespace holdfast::app
