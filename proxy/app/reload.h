#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/load.h"
#include "protocol/base/log.h"
#include "proxy/app/notify.h"
#include "proxy/app/service.h"
#include "proxy/loop/loop.h"

namespace holdfast::app {

/// Reads the configuration again while the process runs. Files are read off the loop; one reload is under way
/// at a time, and wishes that come meanwhile are one further reload. Must not outlive the loop, the log and
/// the manager.
class Reloader {
public:
    /// `apply` takes a configuration into use, all of it or nothing. `on_rejected` follows when one could not
    /// be. `manager` hears when reading begins and ends.
    Reloader(loop::Loop& loop, Log& log, ServiceManager& manager, std::string config_file,
             std::function<Status(const Candidate&)> apply, std::function<void()> on_rejected);
    ~Reloader();
    Reloader(const Reloader&) = delete;
    Reloader& operator=(const Reloader&) = delete;

    /// What became of a reload, or what it would be.
    struct Report {
        Status result{};
        std::vector<config::Diagnostic> diagnostics;
        std::shared_ptr<const config::Settings> settings;  // those that were read; null: they have errors
    };
    using OnReport = std::function<void(const Report&)>;

    /// `on_done` is called when the reload that takes this wish into account is over; may be empty.
    void request(OnReport on_done = {});
    /// Reads and checks the file and changes nothing.
    void examine(OnReport on_done);
    /// The key that the next candidate is to have.
    void keep_rsa(std::shared_ptr<const mysql::RsaKey> rsa) { rsa_ = std::move(rsa); }

private:
    struct Work;
    void finish(const Work& work);
    void begin(std::function<void(Reloader&, Work&)> on_read);
    static Report report_of(const Work& work);

    loop::Loop& loop_;
    Log& log_;
    ServiceManager& manager_;
    std::string config_file_;
    std::function<Status(const Candidate&)> apply_;
    std::function<void()> on_rejected_;
    std::shared_ptr<const mysql::RsaKey> rsa_;
    std::shared_ptr<Reloader*> self_;  // emptied at the end: work that comes back later finds nobody
    std::vector<OnReport> waiting_;    // for the reload under way …
    std::vector<OnReport> next_;       // … and for the one after it
    bool is_under_way_ = false;
    bool again_ = false;
};

}  // namespace holdfast::app
