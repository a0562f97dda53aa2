#include "proxy/app/config_watch.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "config/environment.h"
#include "config/sources.h"
#include "proxy/loop/folder_watch.h"

namespace holdfast::app {

using namespace std::chrono_literals;

namespace {

/// Files that belong together, a certificate and its key, are written one after the other.
constexpr Duration quiet_time = 500ms;
/// What never comes to rest is looked at all the same.
constexpr Duration unrest_max = 5s;
/// Not every file system tells of changes, and without reload.watch nobody listens.
constexpr Duration interval = 10s;

std::vector<std::string> paths_of(const std::vector<config::SourceFile>& sources) {
    std::vector<std::string> paths;
    for (const config::SourceFile& source : sources) paths.push_back(source.path);
    return paths;
}

}  // namespace

/// The files of both configurations, first as they were, then as they are; filled in off the loop.
struct ConfigWatch::Look {
    std::vector<config::SourceFile> read;
    std::vector<config::SourceFile> in_use;
};

ConfigWatch::ConfigWatch(loop::Loop& loop, Log& log, std::function<void(bool is_in_use)> on_look,
                         std::function<void()> on_changed)
    : loop_(loop),
      log_(log),
      on_look_(std::move(on_look)),
      on_changed_(std::move(on_changed)),
      self_(std::make_shared<ConfigWatch*>(this)) {}

ConfigWatch::~ConfigWatch() {
    *self_ = nullptr;
}

void ConfigWatch::follow(std::vector<config::SourceFile> read, Use use, Attention attention) {
    read_ = std::move(read);
    if (use == Use::yes) in_use_ = read_;
    told_.clear();
    attention_ = attention;
    if (attention_ == Attention::slow) {
        soon_.reset();
        folders_.clear();
    }
    look();
}

/// The folders are watched before the files are read: what changes in between is told.
void ConfigWatch::look() {
    if (is_looking_) {
        again_ = true;
        return;
    }
    is_looking_ = true;
    first_event_at_.reset();
    if (attention_ == Attention::slow) {
        read_files();
        return;
    }
    auto steps = std::make_shared<PathSteps>();
    loop_.offload([steps, paths = paths_of(read_)] { *steps = steps_of(paths); },
                  [steps, self = self_] {
                      if (*self == nullptr) return;
                      (*self)->watch_folders(*steps);
                      (*self)->read_files();
                  });
}

void ConfigWatch::read_files() {
    auto look = std::make_shared<Look>(Look{read_, in_use_});
    loop_.offload(
        [look] {
            config::SystemEnvironment environment;
            const bool is_one = look->read == look->in_use;
            look->read = config::look_again(look->read, environment);
            look->in_use = is_one ? look->read : config::look_again(look->in_use, environment);
        },
        [look, self = self_] {
            if (*self != nullptr) (*self)->looked(*look);
        });
}

void ConfigWatch::looked(const Look& look) {
    is_looking_ = false;
    if (std::exchange(again_, false)) {
        // A reload, perhaps: what was seen may be older than what is in use now.
        this->look();
        return;
    }
    later_ = loop_.events().after(interval, [this] { this->look(); });
    on_look_(look.in_use == in_use_);
    if (look.read == read_ || look.read == told_) return;
    told_ = look.read;
    on_changed_();
}

void ConfigWatch::watch_folders(const PathSteps& steps) {
    if (attention_ == Attention::slow) return;
    folders_.clear();
    std::string failure;
    for (const auto& [folder, names] : steps) {
        auto watch = loop::watch_folder(loop_, folder, [this, names = names](std::string_view name) {
            // Without a name, or with one of the folder's own, it is the folder itself.
            if (name.empty() || names.contains(std::string(name))) look_soon();
        });
        if (watch) {
            folders_.push_back(*std::move(watch));
        } else {
            failure = watch.error().message;
        }
    }
    if (failure != last_failure_ && !failure.empty()) {
        log_.warn("config_watch_incomplete",
                  {{"reason", failure}, {"advice", "changes that are missed are seen within 10 s"}});
    }
    last_failure_ = failure;
}

void ConfigWatch::look_soon() {
    const TimePoint now = loop_.now();
    if (!first_event_at_) first_event_at_ = now;
    const Duration left = *first_event_at_ + unrest_max - now;
    soon_ =
        loop_.events().after(std::max(Duration{0}, std::min<Duration>(quiet_time, left)), [this] { look(); });
}

}  // namespace holdfast::app
