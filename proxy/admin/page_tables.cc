#include "proxy/admin/page_tables.h"

#include <array>
#include <cmath>
#include <cstdint>

#include "proxy/admin/json_fields.h"

namespace holdfast::admin {

namespace {

using nlohmann::json;

constexpr std::string_view place_of_tables = "<!--{tables}-->";

/// "3 h 12 min"; empty when the value is no number.
std::string span(const json& value) {
    if (!value.is_number()) return {};
    const double seconds = value.get<double>();
    if (!(seconds >= 0) || seconds > 1e12) return {};
    const auto whole = static_cast<uint64_t>(seconds);
    if (whole < 60) return std::to_string(whole) + " s";
    if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
    if (whole < 86'400)
        return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
    return std::to_string(whole / 86'400) + " d " + std::to_string(whole % 86'400 / 3600) + " h";
}

std::string lag(const json& server) {
    if (text_of(server, "role") != "replica") return {};
    const json& value = field_of(server, "lag_s");
    if (!value.is_number()) return "not known";
    const double seconds = value.get<double>();
    if (seconds >= 10) return span(value);
    return std::to_string(std::llround(seconds * 1000)) + " ms";
}

std::string joined(std::initializer_list<std::string> parts) {
    std::string all;
    for (const std::string& part : parts) {
        if (part.empty()) continue;
        if (!all.empty()) all += "; ";
        all += part;
    }
    return all;
}

std::string condition(const json& cluster) {
    const json& without = field_of(cluster, "without_primary_s");
    const std::string lacking = without.is_number() ? "no primary for " + span(without) : "";
    return joined({flag_of(cluster, "split_brain") ? "SPLIT BRAIN: two servers are writable" : "",
                   field_of(cluster, "primary").is_null() && lacking.empty() ? "no primary" : lacking,
                   flag_of(cluster, "paused") ? "paused" : "",
                   flag_of(cluster, "ending") ? "taken out of the configuration" : ""});
}

std::string sessions(const json& cluster) {
    const json& counts = field_of(cluster, "sessions");
    const std::string held = text_of(counts, "held");
    return text_of(counts, "total") + (held.empty() || held == "0" ? "" : " (" + held + " held)");
}

class Table {
public:
    Table(std::string_view caption, std::initializer_list<std::string_view> headings) {
        html_ = "<div class=\"scroll\"><table><caption class=\"unseen\">" + escape_html(caption) +
                "</caption><thead><tr>";
        for (const std::string_view heading : headings)
            html_ += "<th scope=\"col\">" + escape_html(heading) + "</th>";
        html_ += "</tr></thead><tbody>\n";
    }
    void add(std::initializer_list<std::string> cells) {
        html_ += "<tr>";
        for (const std::string& cell : cells) html_ += "<td>" + escape_html(cell) + "</td>";
        html_ += "</tr>\n";
    }
    std::string end() && { return std::move(html_) + "</tbody></table></div>\n"; }

private:
    std::string html_;
};

}  // namespace

std::string escape_html(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char each : text) {
        switch (each) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&#39;"; break;
            case '\0': out += "\xEF\xBF\xBD"; break;  // U+FFFD: HTML has no NUL
            default: out += each;
        }
    }
    return out;
}

std::string status_tables(const json& status) {
    std::string out = "<p>Holdfast " + escape_html(text_of(status, "version")) + ", up for " +
                      escape_html(span(field_of(status, "uptime_s"))) + ", " +
                      escape_html(text_of(status, "clients")) + " of at most " +
                      escape_html(text_of(status, "clients_max")) + " clients" +
                      (flag_of(status, "shutting_down") ? ", shutting down" : "") + ".</p>\n";
    Table clusters("Clusters", {"Cluster", "Protocol", "Primary", "For", "Condition", "Sessions"});
    Table servers("Servers", {"Cluster", "Server", "Address", "Role", "Health", "For", "State", "Why",
                              "Follows", "Lag", "Connections", "Version"});
    for (const json& cluster : list_of(status, "clusters")) {
        clusters.add({text_of(cluster, "name"), text_of(cluster, "protocol"), text_of(cluster, "primary"),
                      span(field_of(cluster, "primary_since_s")), condition(cluster), sessions(cluster)});
        for (const json& server : list_of(cluster, "servers")) {
            servers.add({text_of(cluster, "name"), text_of(server, "name"), text_of(server, "address"),
                         flag_of(server, "is_primary") ? "primary, takes writes" : text_of(server, "role"),
                         text_of(server, "health"), span(field_of(server, "since_s")),
                         text_of(server, "state"), reason_of(server), text_of(server, "follows"), lag(server),
                         text_of(server, "connections"), text_of(server, "version")});
        }
    }
    out += "<h2>Clusters</h2>\n" + std::move(clusters).end();
    out += "<h2>Servers</h2>\n" + std::move(servers).end();
    return out;
}

std::string status_page(std::string_view page, const json& status) {
    const size_t place = page.find(place_of_tables);
    if (place == std::string_view::npos) return std::string(page);
    std::string out(page.substr(0, place));
    out += status_tables(status);
    out += page.substr(place + place_of_tables.size());
    return out;
}

}  // namespace holdfast::admin
