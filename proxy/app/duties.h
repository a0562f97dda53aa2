#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "health/view.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "proxy/loop/loop.h"

namespace holdfast::app {

/// What operators said of servers, by cluster and server name, and its file, which keeps it over a restart.
/// A server of which nothing was said serves. Must not outlive the loop and the log.
class Duties {
public:
    struct Record {
        health::Duty duty = health::Duty::serves;
        std::string reason;
        std::string by;
        int64_t since_unix_s = 0;
    };
    using Records = std::map<std::pair<std::string, std::string>, Record>;

    Duties(loop::Loop& loop, Log& log);
    ~Duties();
    Duties(const Duties&) = delete;
    Duties& operator=(const Duties&) = delete;

    /// Reads the file and uses it from now on; empty: there is none. Blocks: for the start. A file that can't
    /// be understood is put aside and told of: the proxy serves all the same.
    void open(std::string path);
    const Record* find(const std::string& cluster, const std::string& server) const;
    /// `on_saved` is called when the record is on disk, or with why it won't be there after a restart.
    void set(const std::string& cluster, const std::string& server, Record record,
             std::function<void(Status)> on_saved);

    /// A configuration is in use: what was said of servers that it doesn't have is forgotten, and told of in
    /// the log. A server of the same name that comes later is another one, and serves.
    void forget_absent(const config::Settings& settings);

    // For tests.
    static std::string to_text(const Records& records);
    /// errors  bad_value: not a file of this kind
    static Result<Records> parse(const std::string& text);

private:
    struct Work;
    void save();

    loop::Loop& loop_;
    Log& log_;
    std::string path_;
    Records records_;
    std::vector<std::function<void(Status)>> unsaved_;  // who waits for the next write
    bool is_saving_ = false;
    std::shared_ptr<Duties*> self_;  // emptied at the end: work that comes back later finds nobody
};

}  // namespace holdfast::app
