#include "proxy/app/tables.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <ostream>

#include "proxy/admin/json_fields.h"

namespace holdfast::app {

namespace {

using admin::flag_of;
using admin::list_of;
using admin::number_of;
using admin::reason_of;
using admin::text_of;
using nlohmann::json;
using Row = std::vector<std::string>;

std::string or_dash(std::string text) {
    return text.empty() ? "-" : std::move(text);
}

/// Characters, not bytes; wide ones count as one.
size_t width_of(const std::string& text) {
    return static_cast<size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

/// Names come from clients: a terminal must not be told what to do by them.
std::string harmless(std::string text) {
    for (char& c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return text;
}

std::string lag_of(const json& server) {
    if (server.value("role", "") != "replica") return "-";
    const json lag = server.value("lag_s", json());
    if (lag.is_null()) return "unknown";
    return age_text(lag);
}

Row server_row(const json& server) {
    std::string role = text_of(server, "role");
    if (flag_of(server, "is_primary")) role = "PRIMARY";
    return {text_of(server, "name"),
            role,
            text_of(server, "state"),
            text_of(server, "health"),
            age_text(server.value("since_s", json())),
            lag_of(server),
            text_of(server, "weight_now"),
            text_of(server, "connections"),
            text_of(server, "sessions_reading"),
            or_dash(text_of(server, "follows")),
            reason_of(server)};
}

const Row server_heading = {"SERVER", "ROLE",  "STATE",   "HEALTH",  "SINCE", "LAG",
                            "WEIGHT", "CONNS", "READERS", "FOLLOWS", "REASON"};

std::string primary_line(const json& cluster) {
    if (const std::string name = text_of(cluster, "primary"); !name.empty()) {
        return "primary " + name + " for " + age_text(cluster.value("primary_since_s", json()));
    }
    return "NO PRIMARY for " + age_text(cluster.value("without_primary_s", json()));
}

}  // namespace

void print_table(const std::vector<Row>& rows, std::ostream& out) {
    std::vector<size_t> widths;
    for (const Row& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
    }
    for (const Row& row : rows) {
        std::string line;
        for (size_t i = 0; i < row.size(); ++i) {
            line += harmless(row[i]);
            if (i + 1 < row.size()) line.append(widths[i] - width_of(row[i]) + 2, ' ');
        }
        while (line.ends_with(' ')) line.pop_back();
        out << line << '\n';
    }
}

std::string age_text(const json& seconds) {
    if (!seconds.is_number()) return "-";
    const double value = std::max(0.0, seconds.get<double>());
    std::array<char, 48> text{};
    const auto whole = static_cast<int64_t>(value);
    constexpr int64_t minute = 60;
    constexpr int64_t hour = 60 * minute;
    constexpr int64_t day = 24 * hour;
    if (value < 1) {
        std::snprintf(text.data(), text.size(), "%.0fms", value * 1000);
    } else if (whole < minute) {
        std::snprintf(text.data(), text.size(), "%llds", static_cast<long long>(whole));
    } else if (whole < hour) {
        std::snprintf(text.data(), text.size(), "%lldm %llds", static_cast<long long>(whole / minute),
                      static_cast<long long>(whole % minute));
    } else if (whole < day) {
        std::snprintf(text.data(), text.size(), "%lldh %lldm", static_cast<long long>(whole / hour),
                      static_cast<long long>(whole % hour / minute));
    } else {
        std::snprintf(text.data(), text.size(), "%lldd %lldh", static_cast<long long>(whole / day),
                      static_cast<long long>(whole % day / hour));
    }
    return text.data();
}

std::string bytes_text(const json& bytes) {
    if (!bytes.is_number()) return "-";
    auto value = bytes.get<double>();
    constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < units.size()) {
        value /= 1024;
        ++unit;
    }
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text.data();
}

void print_status(const json& status, const std::string& cluster, std::ostream& out) {
    out << "holdfast " << text_of(status, "version") << ", up " << age_text(status.value("uptime_s", json()))
        << ", " << number_of(status, "clients") << " of " << number_of(status, "clients_max") << " clients"
        << (flag_of(status, "shutting_down") ? ", SHUTTING DOWN"
            : flag_of(status, "ready")       ? ""
                                             : ", not ready")
        << "\n";
    for (const auto& each : list_of(status, "clusters")) {
        if (!cluster.empty() && text_of(each, "name") != cluster) continue;
        const json sessions = each.value("sessions", json::object());
        out << "\n"
            << text_of(each, "name") << " (" << text_of(each, "protocol") << "): " << primary_line(each)
            << (flag_of(each, "split_brain") ? ", SPLIT BRAIN" : "")
            << (flag_of(each, "paused") ? ", PAUSED" : "") << (flag_of(each, "ending") ? ", REMOVED" : "")
            << "; " << number_of(sessions, "total") << " sessions, " << number_of(sessions, "working")
            << " working, " << number_of(sessions, "held") << " held\n";
        std::vector<Row> rows{server_heading};
        for (const auto& server : list_of(each, "servers")) rows.push_back(server_row(server));
        for (Row& row : rows) row[0] = "  " + row[0];
        print_table(rows, out);
    }
}

void print_servers(const json& status, const std::string& cluster, std::ostream& out) {
    std::vector<Row> rows{server_heading};
    rows[0].insert(rows[0].begin(), "CLUSTER");
    for (const auto& each : list_of(status, "clusters")) {
        if (!cluster.empty() && text_of(each, "name") != cluster) continue;
        for (const auto& server : list_of(each, "servers")) {
            Row row = server_row(server);
            row.insert(row.begin(), text_of(each, "name"));
            rows.push_back(std::move(row));
        }
    }
    print_table(rows, out);
}

void print_sessions(const json& sessions, std::ostream& out) {
    std::vector<Row> rows{{"ID", "CLUSTER", "USER", "DATABASE", "APPLICATION", "CLIENT", "STATE", "AGE",
                           "SERVER", "READS FROM", "STATEMENTS", "PINNED BY", "WAITS FOR"}};
    for (const auto& each : list_of(sessions, "sessions")) {
        std::string state = text_of(each, "state");
        const bool is_relay = text_of(each, "listener") == "tcp";
        if (is_relay) state += " (tcp)";
        for (const char* name : {"running_s", "held_s"}) {
            const json since = each.value(name, json());
            if (!since.is_null()) state += " " + age_text(since);
        }
        rows.push_back({text_of(each, "id"), text_of(each, "cluster"), or_dash(text_of(each, "user")),
                        or_dash(text_of(each, "database")), or_dash(text_of(each, "application")),
                        text_of(each, "client"), state, age_text(each.value("age_s", json())),
                        or_dash(text_of(each, "server")), or_dash(text_of(each, "reads_from")),
                        is_relay ? "-" : text_of(each, "statements"), or_dash(text_of(each, "pinned_by")),
                        text_of(each, "waits_for")});
    }
    print_table(rows, out);
    if (!sessions.value("complete", true)) {
        out << '(' << list_of(sessions, "sessions").size() << " of " << text_of(sessions, "matching")
            << "; --limit shows more, --filter fewer)\n";
    }
}

void print_events(const json& events, std::ostream& out) {
    for (const auto& each : list_of(events, "events")) {
        const auto unix_ms = each.value("time_ms", int64_t{0});
        const std::time_t whole = unix_ms / 1000;
        std::tm local{};
        ::localtime_r(&whole, &local);
        std::array<char, 32> time{};
        std::strftime(time.data(), time.size(), "%F %T", &local);
        out << time.data() << "  " << harmless(text_of(each, "event"));
        const json fields = each.value("fields", json::object());
        for (const auto& [name, value] : fields.items()) {
            const std::string text = harmless(value.is_string() ? value.get<std::string>() : value.dump());
            if (!text.empty()) out << "  " << name << "=" << text;
        }
        out << '\n';
    }
}

}  // namespace holdfast::app
