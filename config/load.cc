#include "config/load.h"

#include <utility>
#include <variant>

#include "config/address.h"
#include "config/document.h"
#include "config/parts.h"
#include "config/section.h"
#include "config/sources.h"
#include "config/text.h"

namespace holdfast::config {
namespace {

/// Each is watched and has a table in every view and metric.
constexpr size_t clusters_max = 256;

bool is_plain_name(std::string_view name) {
    constexpr size_t name_bytes_max = 64;
    constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    return !name.empty() && name.size() <= name_bytes_max &&
           name.find_first_not_of(allowed) == std::string_view::npos;
}

Settings read_settings(Context& context, const Node& document) {
    const Section root{context, document};
    Settings settings;
    settings.file = context.file();
    settings.proxy = read_proxy(root.table("proxy").with_fallbacks());
    settings.reload = read_reload(root.table("reload").with_fallbacks());
    settings.admin = read_admin(root.table("admin").with_fallbacks());

    Cluster inherited;
    read_inheritable(root.defaults(), inherited);
    const std::vector<Section::Named> names = root.names("cluster");
    for (const Section::Named& found : names) {
        if (settings.clusters.size() >= clusters_max) {
            context.error(found.at, "more than 256 clusters; run several proxies");
            break;
        }
        if (!is_plain_name(found.name)) {
            context.error(found.at, "the name of cluster " + quote(found.name) +
                                        " may have 1 to 64 letters, digits, '_' and '-' only");
        }
        settings.clusters.push_back(read_cluster(root.named("cluster", found), found.name, inherited));
    }
    settings.users = read_users(root, settings.clusters);
    check_across(context, settings);
    return settings;
}

}  // namespace

Proxy read_proxy(const Section& section) {
    Proxy proxy;
    section.choice("log_level", proxy.log_level);
    section.choice("log_format", proxy.log_format);
    section.integer("max_clients", proxy.max_clients);
    section.duration("drain_timeout", proxy.drain_timeout);
    if (section.text("state_file", proxy.state_file) && !proxy.state_file.empty() &&
        (!proxy.state_file.starts_with('/') || proxy.state_file.ends_with('/'))) {
        section.error("state_file", "expected the absolute path of a file, found " + quote(proxy.state_file));
    }
    return proxy;
}

Reloading read_reload(const Section& section) {
    Reloading reload;
    section.boolean("watch", reload.watch);
    return reload;
}

Admin read_admin(const Section& section) {
    Admin admin;
    const auto note_bound = [&](std::string_view name, const Endpoint& endpoint) {
        const Position at = section.has(name) ? section.at(name) : Position{};
        section.context().note_bound(
            {endpoint, at, "admin." + std::string(name) + (section.has(name) ? "" : " (by default)")});
    };
    std::string listen;
    if (section.text("listen", listen) && !listen.empty()) {
        const auto endpoint = parse_listen_address(listen);
        if (!endpoint) {
            section.error("listen", endpoint.error().message);
        } else if (endpoint->is_unix()) {
            section.error("listen", "a Unix socket belongs in admin.socket; \"\" means no TCP");
        } else {
            admin.listen = *endpoint;
            note_bound("listen", *endpoint);
        }
    }
    std::string socket;
    if (section.text("socket", socket) && !socket.empty()) {
        const auto endpoint = parse_listen_address(socket);
        if (!socket.starts_with('/')) {
            section.error("socket", "expected the absolute path of a socket, found " + quote(socket));
        } else if (!endpoint) {
            section.error("socket", endpoint.error().message);
        } else {
            admin.socket = socket;
            note_bound("socket", *endpoint);
        }
    }
    section.secret("token", admin.token);
    if (admin.listen && !is_loopback(*admin.listen) && !section.has("token")) {
        section.warning("listen",
                        "whoever reaches " + to_text(*admin.listen) +
                            " can read metrics and status; set admin.token, or listen on 127.0.0.1");
    }
    return admin;
}

Loaded load_text(std::string_view text, const std::string& file_name, Environment& environment) {
    RecordingEnvironment recording{environment};
    recording.note({file_name, digest_of(text), file_bytes_max});
    Context context{file_name, recording};
    Loaded loaded;
    const auto parsed = parse(text);
    if (const auto* wrong = std::get_if<SyntaxError>(&parsed)) {
        context.error(wrong->at, wrong->message);
    } else {
        Settings settings = read_settings(context, std::get<Node>(parsed));
        if (!context.has_errors()) loaded.settings = std::move(settings);
    }
    loaded.diagnostics = context.take_diagnostics();
    loaded.sources = recording.take_sources();
    if (loaded.settings) loaded.settings->sources = loaded.sources;
    loaded.source = std::string(text);
    return loaded;
}

Loaded load_file(const std::string& path) {
    SystemEnvironment environment;
    const auto text = environment.read_file(path, file_bytes_max);
    if (text) return load_text(*text, path, environment);
    Loaded loaded;
    loaded.sources = {{path, 0, file_bytes_max}};
    loaded.diagnostics.push_back(
        {Diagnostic::Severity::error, path, 0, 0, "can't read this file: " + text.error().message});
    return loaded;
}

}  // namespace holdfast::config
