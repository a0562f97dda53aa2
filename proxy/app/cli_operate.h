#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <CLI/CLI.hpp>

#include "proxy/app/operate.h"

namespace holdfast::app {

/// The commands that talk to a running proxy, as options of the command line.
class OperatorCommands {
public:
    explicit OperatorCommands(CLI::App& app);
    /// Runs the command that was parsed. Nullopt: it was none of these.
    std::optional<int> run(Streams to);

private:
    CLI::App* add(CLI::App& app, const char* name, const char* what, std::function<int(Streams)> run);
    void add_subject(CLI::App& command, const char* name, const char* what, bool is_required);
    void add_timeout(CLI::App& command, const char* what);

    Operation operation_;
    std::string timeout_;
    std::vector<std::pair<CLI::App*, std::function<int(Streams)>>> commands_;
};

}  // namespace holdfast::app
