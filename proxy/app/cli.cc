#include "proxy/app/cli.h"

#include <map>
#include <ostream>
#include <string>

#include <CLI/CLI.hpp>

#include "proxy/app/check.h"
#include "proxy/app/classify.h"
#include "proxy/app/cli_operate.h"
#include "proxy/app/diff.h"
#include "proxy/app/run.h"

namespace holdfast::app {

namespace {

constexpr int usage_error = 2;

/// `--config FILE`, or just `FILE`.
void add_config(CLI::App& command, std::string& file) {
    command.add_option("-c,--config,FILE", file, "the configuration file (TOML)")->required()->type_name("");
}

}  // namespace

int cli(int argc, const char* const* argv, std::istream& in, std::ostream& out, std::ostream& err) {
    CLI::App app{"Holdfast: a proxy that makes a database failover a short pause", "holdfast"};
    app.require_subcommand(1);
    app.set_version_flag("--version", "holdfast " HOLDFAST_VERSION);

    std::string config_file;
    CLI::App* run_command = app.add_subcommand("run", "Serve, until SIGTERM");
    add_config(*run_command, config_file);
    CLI::App* check_command = app.add_subcommand("check", "Say what is wrong with a configuration");
    CheckOptions check_options;
    add_config(*check_command, check_options.config_file);
    check_command->add_flag(
        "--connect", check_options.connect,
        "also log in to every server, and look at privileges, certificates and addresses");
    check_command->add_flag("--json", check_options.json, "JSON instead of text");
    check_command->add_flag("--strict", check_options.strict, "warnings count as errors");
    DiffOptions diff_options;
    CLI::App* diff_command =
        app.add_subcommand("diff", "Say what a configuration changes: 0: nothing, 1: something, 2: error");
    diff_command
        ->add_option("-c,--config,FILE", diff_options.config_file,
                     "the configuration file (TOML); without --against, what the running proxy is found by")
        ->type_name("");
    diff_command
        ->add_option("--against", diff_options.against,
                     "the file to compare with; without it, what the running proxy uses")
        ->type_name("FILE");
    Operation diff_operation;
    diff_command->add_option("--socket", diff_operation.remote.socket, "the running proxy's admin socket")
        ->type_name("PATH");
    diff_command->add_option("--url", diff_operation.remote.url, "the running proxy's admin address")
        ->type_name("URL");
    diff_command->add_flag("--json", diff_options.json, "JSON instead of a table");

    sql::Dialect dialect = sql::Dialect::postgres;
    const std::map<std::string, sql::Dialect> dialects{{"postgres", sql::Dialect::postgres},
                                                       {"mysql", sql::Dialect::mysql}};
    CLI::App* classify_command = app.add_subcommand(
        "classify", "Say where statements would go: JSON strings in, a line each; JSON objects out");
    classify_command->add_option("--protocol", dialect, "postgres or mysql")
        ->required()
        ->transform(CLI::CheckedTransformer(dialects).description(""))
        ->type_name("");
    CLI::App* version_command = app.add_subcommand("version", "Print the version");

    OperatorCommands operator_commands(app);

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error, out, err) == 0 ? 0 : usage_error;
    }
    if (*run_command) return run(config_file);
    if (*check_command) return check(check_options, out, err);
    if (*diff_command && diff_options.against.empty()) {
        diff_operation.remote.config_file = diff_options.config_file;
        diff_operation.json = diff_options.json;
        return diff_running(diff_operation, {out, err});
    }
    if (*diff_command && diff_options.config_file.empty()) {
        err << "holdfast: --against compares a FILE: say which\n";
        return usage_error;
    }
    if (*diff_command) return diff(diff_options, out, err);
    if (*classify_command) return classify_lines(dialect, in, out);
    if (const auto done = operator_commands.run({out, err})) return *done;
    if (*version_command) out << "holdfast " HOLDFAST_VERSION "\n";
    return 0;
}

}  // namespace holdfast::app
