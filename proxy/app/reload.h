#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/compare.h"
#include "config/load.h"
#include "protocol/base/log.h"
#include "proxy/app/notify.h"
#include "proxy/app/service.h"
#include "proxy/loop/loop.h"

namespace holdfast::app {

/// What came of a reload.
struct Reloaded {
    enum class Result {
        applied,
        unchanged,  // nothing that the files say differs from what is in use
        rejected,   // the configuration in use stays
    };
    Result result = Result::rejected;
    std::vector<config::SourceFile> sources;  // the files that it read
};

/// Reads the configuration again while the process runs. Files are read off the loop; one reload is under way
/// at a time, and wishes that come meanwhile are one further reload. Must not outlive the loop, the log and
/// the manager.
class Reloader {
public:
    /// `apply` takes a configuration into use, all of it or nothing. `on_done` follows each reload.
    /// `manager` hears when reading begins and ends.
    Reloader(loop::Loop& loop, Log& log, ServiceManager& manager, std::string config_file,
             std::function<Status(const Candidate&)> apply, std::function<void(const Reloaded&)> on_done);
    ~Reloader();
    Reloader(const Reloader&) = delete;
    Reloader& operator=(const Reloader&) = delete;

    /// To be called once, with the configuration that the process began with.
    void begin_with(const Candidate& candidate);
    /// What became of a reload, or what it would be.
    struct Report {
        Status result{};
        std::vector<config::Diagnostic> diagnostics;
        std::vector<config::Change> changes;  // empty when the file has errors
    };
    using OnReport = std::function<void(const Report&)>;

    /// `on_report` is called when the reload that takes this wish into account is over; may be empty.
    void request(OnReport on_report = {});
    /// Reads and checks the file and changes nothing.
    void examine(OnReport on_report);
    /// Whether the file in use has changes that only a restart applies.
    bool needs_restart() const { return !until_restart_.empty(); }

private:
    struct Work;
    void begin(std::function<void(Reloader&, Work&)> on_read);
    void finish(const Work& work);
    static Report report_of(const Work& work);
    Status take(const Work& work);
    void note_restarts(const std::vector<config::Change>& changes);

    loop::Loop& loop_;
    Log& log_;
    ServiceManager& manager_;
    std::string config_file_;
    std::function<Status(const Candidate&)> apply_;
    std::function<void(const Reloaded&)> on_done_;
    std::shared_ptr<const config::Settings> present_;
    std::shared_ptr<const mysql::RsaKey> rsa_;
    std::map<std::string, std::string> until_restart_;  // by path: the value that is in use
    std::shared_ptr<Reloader*> self_;  // emptied at the end: work that comes back later finds nobody
    std::vector<OnReport> waiting_;    // for the reload under way …
    std::vector<OnReport> next_;       // … and for the one after it
    bool is_under_way_ = false;
    bool again_ = false;
};

}  // namespace holdfast::app
