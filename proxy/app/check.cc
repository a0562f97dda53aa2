#include "proxy/app/check.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/load.h"
#include "proxy/app/connect_check.h"
#include "proxy/app/local_checks.h"
#include "proxy/app/service.h"

namespace holdfast::app {

namespace {

using Json = nlohmann::ordered_json;
using Severity = Finding::Severity;

/// Everything that a check came to.
struct Checked {
    config::Loaded loaded;
    ConnectReport report;
    bool was_connected = false;
};

std::string_view severity_text(Severity severity) {
    switch (severity) {
        case Severity::error: return "error";
        case Severity::warning: return "warning";
        case Severity::note: return "note";
    }
    std::abort();
}

bool is_bad(const Checked& checked, bool is_strict) {
    const auto& diagnostics = checked.loaded.diagnostics;
    const auto& findings = checked.report.findings;
    return std::any_of(diagnostics.begin(), diagnostics.end(),
                       [&](const config::Diagnostic& each) {
                           return is_strict || each.severity == config::Diagnostic::Severity::error;
                       }) ||
           std::any_of(findings.begin(), findings.end(), [&](const Finding& each) {
               return each.severity == Severity::error || (is_strict && each.severity == Severity::warning);
           });
}

std::string lag_text(const ServerFound& server) {
    if (!server.lag) return "";
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1fs", std::chrono::duration<double>(*server.lag).count());
    return text.data();
}

void print_table(const ClusterFound& cluster, std::ostream& out) {
    std::vector<std::array<std::string, 6>> rows{
        {"server", "role", "state", "version", "lag", "certificate until"}};
    for (const ServerFound& server : cluster.servers) {
        rows.push_back({server.name, std::string(to_string(server.role)),
                        std::string(to_string(server.state)), server.version, lag_text(server),
                        server.certificate_end ? date_text(*server.certificate_end) : ""});
    }
    out << "cluster " << cluster.name << '\n';
    for (const auto& row : rows) {
        std::string line;
        for (size_t i = 0; i < row.size(); ++i) {
            size_t width = 0;
            for (const auto& each : rows) width = std::max(width, each[i].size());
            const std::string cell = row[i].empty() ? "-" : row[i];
            line += "  " + cell + std::string(width > cell.size() ? width - cell.size() : 0, ' ');
        }
        out << line.substr(0, line.find_last_not_of(' ') + 1) << '\n';
    }
    out << '\n';
}

void print_text(const Checked& checked, const CheckOptions& options, std::ostream& out, std::ostream& err) {
    for (const config::Diagnostic& diagnostic : checked.loaded.diagnostics) {
        err << format(diagnostic, checked.loaded.source) << '\n';
    }
    for (const ClusterFound& cluster : checked.report.clusters) print_table(cluster, out);
    for (const Finding& finding : checked.report.findings) {
        err << severity_text(finding.severity) << ": " << finding.where << ": " << finding.message << '\n';
        if (finding.grant.empty()) continue;
        err << "    on the primary" << (finding.database.empty() ? "" : ", in database " + finding.database)
            << ": " << finding.grant << ";\n";
    }
    if (!is_bad(checked, options.strict)) out << options.config_file << ": good\n";
}

Json to_json(const config::Diagnostic& diagnostic) {
    const bool is_error = diagnostic.severity == config::Diagnostic::Severity::error;
    return {{"severity", is_error ? "error" : "warning"},
            {"line", diagnostic.line},
            {"column", diagnostic.column},
            {"message", diagnostic.message}};
}

Json to_json(const Finding& finding) {
    Json out{{"severity", severity_text(finding.severity)},
             {"where", finding.where},
             {"message", finding.message}};
    if (!finding.grant.empty()) out["grant"] = finding.grant;
    if (!finding.database.empty()) out["database"] = finding.database;
    return out;
}

Json to_json(const ServerFound& server) {
    return {{"name", server.name},
            {"address", server.address},
            {"role", to_string(server.role)},
            {"state", to_string(server.state)},
            {"reason", server.reason},
            {"version", server.version.empty() ? Json() : Json(server.version)},
            {"lag_seconds", server.lag ? Json(std::chrono::duration<double>(*server.lag).count()) : Json()},
            {"certificate_not_after", server.certificate_end ? Json(*server.certificate_end) : Json()}};
}

void print_json(const Checked& checked, const CheckOptions& options, std::ostream& out) {
    Json problems = Json::array();
    for (const auto& each : checked.loaded.diagnostics) problems.push_back(to_json(each));
    for (const auto& each : checked.report.findings) problems.push_back(to_json(each));
    Json all{
        {"file", options.config_file}, {"good", !is_bad(checked, options.strict)}, {"problems", problems}};
    if (checked.was_connected) {
        Json clusters = Json::array();
        for (const ClusterFound& cluster : checked.report.clusters) {
            Json servers = Json::array();
            for (const ServerFound& server : cluster.servers) servers.push_back(to_json(server));
            clusters.push_back({{"name", cluster.name}, {"servers", servers}});
        }
        all["clusters"] = clusters;
    }
    out << all.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace

int check(const CheckOptions& options, std::ostream& out, std::ostream& err) {
    Checked checked;
    checked.loaded = config::load_file(options.config_file);
    if (checked.loaded.settings) {
        const auto candidate = prepare(*checked.loaded.settings, nullptr);
        if (options.connect) {
            checked.report = check_connections(*checked.loaded.settings);
            checked.was_connected = true;
        }
        if (!candidate) {
            checked.report.findings.push_back(
                {Severity::error, "certificates", candidate.error().message, "", ""});
        }
    }
    if (options.json) {
        print_json(checked, options, out);
    } else {
        print_text(checked, options, out, err);
    }
    return is_bad(checked, options.strict) ? 1 : 0;
}

}  // namespace holdfast::app
