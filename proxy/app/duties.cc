#include "proxy/app/duties.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace holdfast::app {

namespace {

constexpr int format_version = 1;
constexpr size_t file_bytes_max = 4 * 1024 * 1024;

std::optional<health::Duty> duty_of(const std::string& word) {
    for (const auto duty : {health::Duty::draining, health::Duty::maintenance}) {
        if (word == to_string(duty)) return duty;
    }
    return std::nullopt;
}

Error file_error(const std::string& path, const char* what) {
    return Error{ErrorCode::internal, path + ": " + what + ": " + std::strerror(errno)};
}

/// The whole file or nothing: a new one takes the old one's place when it is on disk.
Status write_file(const std::string& path, const std::string& text) {
    const std::string fresh = path + ".new";
    const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (file < 0) return file_error(fresh, "can't be written");
    const bool is_written =
        ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
    const Error failure = file_error(fresh, "can't be written");
    ::close(file);
    if (!is_written) {
        ::unlink(fresh.c_str());
        return failure;
    }
    if (::rename(fresh.c_str(), path.c_str()) != 0) return file_error(path, "can't be replaced");
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    if (const int opened = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); opened >= 0) {
        ::fsync(opened);
        ::close(opened);
    }
    return {};
}

}  // namespace

/// What goes to the thread that writes, and what comes back.
struct Duties::Work {
    std::string path;
    std::string text;
    std::vector<std::function<void(Status)>> waiting;
    Status result{};
};

Duties::Duties(loop::Loop& loop, Log& log) : loop_(loop), log_(log), self_(std::make_shared<Duties*>(this)) {}

Duties::~Duties() {
    *self_ = nullptr;
}

std::string Duties::to_text(const Records& records) {
    nlohmann::json file;
    file["version"] = format_version;
    file["servers"] = nlohmann::json::array();
    for (const auto& [name, record] : records) {
        file["servers"].push_back({{"cluster", name.first},
                                   {"server", name.second},
                                   {"state", to_string(record.duty)},
                                   {"reason", record.reason},
                                   {"by", record.by},
                                   {"since", record.since_unix_s}});
    }
    return file.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<Duties::Records> Duties::parse(const std::string& text) try {
    const auto file = nlohmann::json::parse(text);
    if (file.at("version").get<int>() != format_version) {
        return Error{ErrorCode::bad_value, "it is of another version than " + std::to_string(format_version)};
    }
    Records records;
    for (const auto& each : file.at("servers")) {
        Record record;
        const auto duty = duty_of(each.at("state").get<std::string>());
        if (!duty) return Error{ErrorCode::bad_value, "a state in it is unknown"};
        record.duty = *duty;
        record.reason = each.at("reason").get<std::string>();
        record.by = each.at("by").get<std::string>();
        record.since_unix_s = each.at("since").get<int64_t>();
        records[{each.at("cluster").get<std::string>(), each.at("server").get<std::string>()}] = record;
    }
    return records;
} catch (const nlohmann::json::exception& error) {
    return Error{ErrorCode::bad_value, error.what()};
}

void Duties::open(std::string path) {
    path_ = std::move(path);
    if (path_.empty()) return;
    std::ifstream file(path_, std::ios::binary);
    if (!file) {
        if (errno != ENOENT) {
            log_.error("state_file_unreadable", {{"file", path_}, {"error", std::strerror(errno)}});
        }
        return;
    }
    std::string text(file_bytes_max, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(file.gcount()));
    auto records = parse(text);
    if (records) {
        records_ = *std::move(records);
        for (const auto& [name, record] : records_) {
            log_.info("server_state_kept", {{"cluster", name.first},
                                            {"server", name.second},
                                            {"state", to_string(record.duty)},
                                            {"reason", record.reason}});
        }
        return;
    }
    const std::string aside = path_ + ".broken";
    std::rename(path_.c_str(), aside.c_str());
    log_.error("state_file_unreadable",
               {{"file", path_},
                {"error", records.error().message},
                {"advice", "every server counts as ready; the file was put aside as " + aside}});
}

const Duties::Record* Duties::find(const std::string& cluster, const std::string& server) const {
    const auto found = records_.find({cluster, server});
    return found == records_.end() ? nullptr : &found->second;
}

void Duties::set(const std::string& cluster, const std::string& server, Record record,
                 std::function<void(Status)> on_saved) {
    if (record.duty == health::Duty::serves) {
        records_.erase({cluster, server});
    } else {
        records_[{cluster, server}] = std::move(record);
    }
    if (path_.empty()) {
        return on_saved(Error{ErrorCode::unsupported,
                              "this will not survive a restart: set proxy.state_file, or run under a service "
                              "manager that gives a state folder"});
    }
    unsaved_.push_back(std::move(on_saved));
    if (!is_saving_) save();
}

void Duties::forget_absent(const config::Settings& settings) {
    const auto has = [&](const std::pair<std::string, std::string>& name) {
        return std::any_of(settings.clusters.begin(), settings.clusters.end(), [&](const auto& cluster) {
            return cluster.name == name.first &&
                   std::any_of(cluster.servers.begin(), cluster.servers.end(),
                               [&](const auto& server) { return server.name == name.second; });
        });
    };
    const size_t forgotten = std::erase_if(records_, [&](const auto& entry) {
        const auto& [name, record] = entry;
        if (has(name)) return false;
        log_.info("server_state_forgotten", {{"cluster", name.first},
                                             {"server", name.second},
                                             {"state", to_string(record.duty)},
                                             {"reason", record.reason}});
        return true;
    });
    if (forgotten == 0 || path_.empty()) return;
    if (!is_saving_) {
        save();
    } else {
        unsaved_.emplace_back([](const Status&) {});  // what is being written has them still
    }
}

void Duties::save() {
    is_saving_ = true;
    auto work = std::make_shared<Work>();
    work->path = path_;
    work->text = to_text(records_);
    work->waiting = std::exchange(unsaved_, {});
    loop_.offload(
        [work] { work->result = write_file(work->path, work->text); },
        [work, self = self_] {
            if (*self == nullptr) return;
            Duties& duties = **self;
            duties.is_saving_ = false;
            if (!work->result) {
                duties.log_.error("state_file_unwritable", {{"error", work->result.error().message}});
            }
            if (!duties.unsaved_.empty()) duties.save();
            for (const auto& on_saved : work->waiting) on_saved(work->result);
        });
}

}  // namespace holdfast::app
