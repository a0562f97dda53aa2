#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/compare.h"
#include "config/load.h"
#include "protocol/base/log.h"
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
/// at a time, and wishes that come meanwhile are one further reload. Must not outlive the loop and the log.
class Reloader {
public:
    /// `apply` takes a configuration into use, all of it or nothing. `on_done` follows each reload.
    Reloader(loop::Loop& loop, Log& log, std::string config_file,
             std::function<Status(const Candidate&)> apply, std::function<void(const Reloaded&)> on_done);
    ~Reloader();
    Reloader(const Reloader&) = delete;
    Reloader& operator=(const Reloader&) = delete;

    /// To be called once, with the configuration that the process began with.
    void begin_with(const Candidate& candidate);
    void request();
    /// Whether the file in use has changes that only a restart applies.
    bool needs_restart() const { return !until_restart_.empty(); }

private:
    struct Work;
    void finish(const Work& work);
    Status take(const Work& work);
    void note_restarts(const std::vector<config::Change>& changes);

    loop::Loop& loop_;
    Log& log_;
    std::string config_file_;
    std::function<Status(const Candidate&)> apply_;
    std::function<void(const Reloaded&)> on_done_;
    std::shared_ptr<const config::Settings> present_;
    std::shared_ptr<const mysql::RsaKey> rsa_;
    std::map<std::string, std::string> until_restart_;  // by path: the value that is in use
    std::shared_ptr<Reloader*> self_;  // emptied at the end: work that comes back later finds nobody
    bool is_under_way_ = false;
    bool again_ = false;
};

}  // namespace holdfast::app
