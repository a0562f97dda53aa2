#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "config/load.h"

/// Any bytes as a configuration: load_text returns, its diagnostics can be shown, settings stand exactly when
/// there is no error, and a secret that a file names is never shown.
namespace {

using namespace holdfast;

constexpr std::string_view marker = "the-secret-of-the-file";

class FuzzEnvironment final : public config::Environment {
public:
    Result<std::string> read_file(const std::string& path, size_t) override {
        if (path == "missing") return Error{ErrorCode::not_found, "No such file or directory"};
        return std::string(marker);
    }
    std::optional<std::string> variable(const std::string& name) override {
        if (name == "MISSING") return std::nullopt;
        return std::string(marker);
    }
    std::optional<unsigned> permissions(const std::string&) override { return 0644U; }
};

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    FuzzEnvironment environment;
    const config::Loaded loaded = config::load_text(text, "holdfast.toml", environment);
    const bool writes_marker = text.find(marker.substr(0, 8)) != std::string_view::npos;
    bool has_errors = false;
    int line = 0;
    for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
        has_errors = has_errors || diagnostic.severity == config::Diagnostic::Severity::error;
        const std::string shown = config::format(diagnostic, loaded.source);
        require(writes_marker || shown.find(marker) == std::string::npos);
        require(shown.size() < 4'096 && shown.ends_with('\n'));
        require(shown.find('\x1b') == std::string::npos && shown.find('\0') == std::string::npos);
        require(diagnostic.line >= line || diagnostic.line == 0);
        line = diagnostic.line;
    }
    require(loaded.settings.has_value() != has_errors);
    if (loaded.settings) {
        for (const config::Cluster& cluster : loaded.settings->clusters) {
            require(!cluster.servers.empty() && !cluster.listeners.empty() && !cluster.name.empty());
            for (const config::Server& server : cluster.servers) {
                require(!server.name.empty() && (server.address.is_unix() || server.address.port != 0));
            }
        }
    }
    return 0;
}
