#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config/environment.h"
#include "config/load.h"

namespace holdfast::config {

/// A machine made of what a test says.
class FakeEnvironment final : public Environment {
public:
    struct File {
        std::string content;
        unsigned permissions = 0600;
        bool is_readable = true;
    };
    std::map<std::string, File> files;
    std::map<std::string, std::string> variables;

    Result<std::string> read_file(const std::string& path, size_t bytes_max) override {
        const auto found = files.find(path);
        if (found == files.end()) return Error{ErrorCode::not_found, "No such file or directory"};
        if (!found->second.is_readable) return Error{ErrorCode::denied, "Permission denied"};
        if (found->second.content.size() > bytes_max) return Error{ErrorCode::limit_exceeded, "too large"};
        return found->second.content;
    }
    std::optional<std::string> variable(const std::string& name) override {
        const auto found = variables.find(name);
        if (found == variables.end()) return std::nullopt;
        return found->second;
    }
    std::optional<unsigned> permissions(const std::string& path) override {
        const auto found = files.find(path);
        if (found == files.end()) return std::nullopt;
        return found->second.permissions;
    }
};

/// A cluster that needs nothing more; a test adds keys or tables behind it.
inline const std::string small_cluster =
    "[cluster.shop]\n"
    "protocol = \"postgres\"\n"
    "listen = \"0.0.0.0:6432\"\n"
    "servers = [\"10.0.1.11\", \"10.0.1.12\"]\n"
    "service = { user = \"holdfast\", password = \"hunter2\" }\n";

inline Loaded load(std::string_view text) {
    FakeEnvironment environment;
    return load_text(text, "holdfast.toml", environment);
}
inline Loaded load(std::string_view text, FakeEnvironment& environment) {
    return load_text(text, "holdfast.toml", environment);
}

/// "line:column: severity: message" of each diagnostic, one a line.
inline std::string listed(const Loaded& loaded) {
    std::string out;
    for (const Diagnostic& diagnostic : loaded.diagnostics) {
        const bool is_error = diagnostic.severity == Diagnostic::Severity::error;
        out += std::to_string(diagnostic.line) + ":" + std::to_string(diagnostic.column) +
               (is_error ? ": error: " : ": warning: ") + diagnostic.message + "\n";
    }
    return out;
}

inline bool says(const Loaded& loaded, std::string_view text) {
    return listed(loaded).find(text) != std::string::npos;
}

}  // namespace holdfast::config
