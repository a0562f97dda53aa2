#include "proxy/app/cli_operate.h"

#include <ostream>
#include <utility>

#include "config/units.h"

namespace holdfast::app {

OperatorCommands::OperatorCommands(CLI::App& app) {
    CLI::App* status = add(app, "status", "Clusters and servers at a glance",
                           [this](Streams to) { return show_status(operation_, to); });
    add_subject(*status, "CLUSTER", "only this one", false);
    CLI::App* servers = add(app, "servers", "All servers in one table",
                            [this](Streams to) { return show_servers(operation_, to); });
    add_subject(*servers, "CLUSTER", "only this one's", false);
    CLI::App* sessions = add(app, "sessions", "The clients, and what they wait for",
                             [this](Streams to) { return show_sessions(operation_, to); });
    add_subject(*sessions, "CLUSTER", "only this one's", false);
    sessions->add_option("--limit", operation_.limit, "no more than N (100), at most 500")
        ->type_name("N")
        ->check(CLI::Range(1, 500));
    sessions
        ->add_option("--sort", operation_.sort,
                     "what comes first: waiting (the longest), id, age, statements, bytes")
        ->type_name("ORDER")
        ->check(CLI::IsMember({"waiting", "id", "age", "statements", "bytes"}));
    sessions
        ->add_option("--filter", operation_.filter,
                     "only those with these words in what is shown of them (user, client, state, ...)")
        ->type_name("WORDS");
    CLI::App* events = add(app, "events", "The latest changes of roles, states and the configuration",
                           [this](Streams to) { return show_events(operation_, to); });
    events->add_option("--after", operation_.after, "only those with a greater number")->type_name("N");

    const std::pair<const char*, const char*> states[] = {
        {"drain", "Give a server no new work, and let go of it when its transactions are over"},
        {"maintenance", "Drain a server, and believe nothing it says: it can't become the primary"},
        {"ready", "Give a server work again"}};
    for (const auto& [state, what] : states) {
        CLI::App* command = add(app, state, what, [this, state = std::string(state)](Streams to) {
            return set_server_state(operation_, state, to);
        });
        add_subject(*command, "CLUSTER/SERVER", "the server", true);
        command->add_option("--reason", operation_.reason, "for the log, and for others who look")
            ->type_name("TEXT");
        if (std::string_view(state) == "ready") {
            command->add_flag("--force", operation_.force, "also when it would take over from the primary");
        } else {
            command->add_flag("--wait", operation_.wait, "return when it has no connection left");
            add_timeout(*command, "how long to wait (60s); 4 is the exit code when it is over");
        }
    }

    CLI::App* pause = add(app, "pause", "Hold new transactions of a cluster",
                          [this](Streams to) { return pause_cluster(operation_, to); });
    add_subject(*pause, "CLUSTER", "the cluster", true);
    pause->add_option("--reason", operation_.reason, "for the log")->type_name("TEXT");
    pause->add_flag("--wait", operation_.wait, "return when no transaction runs any more");
    add_timeout(*pause, "how long the pause lasts at most (60s); 0s: until resume");
    CLI::App* resume = add(app, "resume", "Let held transactions go",
                           [this](Streams to) { return resume_cluster(operation_, to); });
    add_subject(*resume, "CLUSTER", "the cluster", true);
    CLI::App* kill = add(app, "kill", "End a client's session",
                         [this](Streams to) { return kill_session(operation_, to); });
    add_subject(*kill, "SESSION", "its number, from `holdfast sessions`", true);
    kill->add_option("--reason", operation_.reason, "for the log")->type_name("TEXT");
    CLI::App* reload = add(app, "reload", "Read the configuration again, and say what that changes",
                           [this](Streams to) { return reload_config(operation_, to); });
    reload->add_option("--reason", operation_.reason, "for the log")->type_name("TEXT");
    reload->add_flag("--dry-run", operation_.dry_run, "only say what would change");
}

CLI::App* OperatorCommands::add(CLI::App& app, const char* name, const char* what,
                                std::function<int(Streams)> run) {
    CLI::App* command = app.add_subcommand(name, what);
    RemoteOptions& remote = operation_.remote;
    command
        ->add_option("-c,--config", remote.config_file,
                     "the proxy's configuration, which says where it listens")
        ->type_name("FILE");
    command->add_option("--socket", remote.socket, "its admin socket")->type_name("PATH");
    command->add_option("--url", remote.url, "its admin address, such as http://127.0.0.1:9600")
        ->type_name("URL");
    command
        ->add_option("--token-file", remote.token_file,
                     "the token, if not in the configuration or $HOLDFAST_TOKEN")
        ->type_name("FILE");
    command->add_flag("--json", operation_.json, "JSON, for scripts");
    commands_.emplace_back(command, std::move(run));
    return command;
}

void OperatorCommands::add_subject(CLI::App& command, const char* name, const char* what, bool is_required) {
    command.add_option(name, operation_.subject, what)->required(is_required)->type_name("");
}

void OperatorCommands::add_timeout(CLI::App& command, const char* what) {
    command.add_option("--timeout", timeout_, what)->type_name("DURATION");
}

std::optional<int> OperatorCommands::run(Streams to) {
    for (const auto& [command, run] : commands_) {
        if (!*command) continue;
        if (!timeout_.empty()) {
            const auto parsed = config::parse_duration(timeout_);
            if (!parsed) {
                to.err << "holdfast: --timeout: " << parsed.error().message << '\n';
                return exit_usage;
            }
            operation_.timeout = *parsed;
            operation_.has_timeout = true;
        }
        return run(to);
    }
    return std::nullopt;
}

}  // namespace holdfast::app
