#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "protocol/base/log.h"
#include "proxy/app/path_steps.h"
#include "proxy/loop/loop.h"

namespace holdfast::app {

/// Looks whether the files of a configuration still say what was read: every 10 s, and when asked to, also
/// soon after something happened to one of them. Only a different content counts. The files are read off the
/// loop. Must not outlive the loop and the log.
class ConfigWatch {
public:
    /// `on_look` tells after each look whether the files are those that are in use. `on_changed` is called
    /// once for each content that is new: neither what was read last nor what was told already.
    ConfigWatch(loop::Loop& loop, Log& log, std::function<void(bool is_in_use)> on_look,
                std::function<void()> on_changed);
    ~ConfigWatch();
    ConfigWatch(const ConfigWatch&) = delete;
    ConfigWatch& operator=(const ConfigWatch&) = delete;

    enum class Attention {
        slow,  // every 10 s
        fast,  // at once, too: the system tells of changes
    };
    enum class Use { yes, no };
    /// A configuration was read from these files; `use`: it is the one in use from now on.
    void follow(std::vector<config::SourceFile> read, Use use, Attention attention);

private:
    struct Look;
    void look();
    void read_files();
    void looked(const Look& look);
    void watch_folders(const PathSteps& steps);
    void look_soon();

    loop::Loop& loop_;
    Log& log_;
    std::function<void(bool)> on_look_;
    std::function<void()> on_changed_;
    std::vector<config::SourceFile> read_;
    std::vector<config::SourceFile> in_use_;
    std::vector<config::SourceFile> told_;
    Attention attention_ = Attention::slow;
    std::vector<std::unique_ptr<health::Watch>> folders_;
    std::string last_failure_;
    std::optional<TimePoint> first_event_at_;  // of those that were not looked at yet
    std::unique_ptr<health::Watch> soon_;
    std::unique_ptr<health::Watch> later_;
    bool is_looking_ = false;
    bool again_ = false;
    std::shared_ptr<ConfigWatch*> self_;  // emptied at the end: work that comes back later finds nobody
};

}  // namespace holdfast::app
