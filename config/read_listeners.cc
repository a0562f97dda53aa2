#include <utility>

#include "config/address.h"
#include "config/parts.h"
#include "config/text.h"

namespace holdfast::config {
namespace {

/// Each is a socket that stays open, and every two of them are compared.
constexpr size_t addresses_max = 256;

ClientTls read_client_tls(const Section& section) {
    ClientTls tls;
    section.choice("mode", tls.mode);
    section.file("cert", tls.cert_file);
    section.file("key", tls.key_file);
    section.file("client_ca", tls.client_ca_file);
    if (section.has("cert") && !section.has("key")) {
        section.error("cert", "a certificate needs its private key; add key = \"/path/to/key.pem\"");
    }
    if (section.has("key") && !section.has("cert")) {
        section.error("key", "a private key needs its certificate; add cert = \"/path/to/cert.pem\"");
    }
    return tls;
}

std::vector<Endpoint> read_addresses(const Section& section, const std::string& owner) {
    Context& context = section.context();
    std::vector<Text> texts;
    std::vector<Endpoint> out;
    if (section.texts("listen", texts) && texts.empty())
        section.error("listen", "no address; write for example \"0.0.0.0:6432\"");
    for (const Text& text : texts) {
        if (context.bound().size() >= addresses_max) {
            context.error(text.at, "more than 256 addresses to listen on");
            break;
        }
        const auto endpoint = parse_listen_address(text.text);
        if (!endpoint) {
            context.error(text.at, section.path_of("listen") + ": " + endpoint.error().message);
            continue;
        }
        context.note_bound({*endpoint, text.at, owner});
        out.push_back(*endpoint);
    }
    return out;
}

ProxyProtocol read_proxy_protocol(const Section& section, Protocol protocol) {
    ProxyProtocol read;
    if (!section.is_present()) return read;
    section.require("from", "from = [\"10.0.0.0/8\"], the addresses of the load balancers");
    read.from = read_networks(section, "from");
    section.boolean("required", read.required);
    if (section.has("from") && read.from.empty()) {
        section.error("from", "no network; leave proxy_protocol out if nobody sends headers");
    }
    if (!read.required && protocol == Protocol::mysql) {
        section.error("required",
                      "MySQL's clients wait for the server's greeting, so that a connection without a header "
                      "can't be told from one whose header is late");
    }
    return read;
}

void check_auth(const Section& section, const Listener& listener) {
    switch (listener.auth) {
        case ClientAuth::automatic:
        case ClientAuth::scram:
        case ClientAuth::md5: return;
        case ClientAuth::trust:
            section.warning("auth",
                            "\"trust\" lets everyone in who can connect, as any user, without a password");
            return;
        case ClientAuth::password:
            if (listener.tls.mode == ClientTlsMode::require) return;
            section.warning("auth",
                            "\"password\" has clients send their passwords in clear text; set tls.mode = "
                            "\"require\", or use \"auto\"");
            return;
        case ClientAuth::cert:
            if (listener.tls.mode == ClientTlsMode::disable || !section.table("tls").has("client_ca")) {
                section.error("auth",
                              "\"cert\" needs TLS and the authority of the clients' certificates: tls = { "
                              "mode = \"require\", client_ca = \"/path/to/ca.pem\" }");
            }
            return;
    }
}

Listener read_listener(const Section& section, const std::string& owner, Protocol protocol) {
    Listener listener;
    listener.line = section.at().line;
    section.require("listen", "listen = \"0.0.0.0:6432\"");
    listener.listen = read_addresses(section, owner);
    section.choice("role", listener.role);
    const Section tls = section.table("tls");
    listener.tls = read_client_tls(tls);
    listener.allow = read_networks(section, "allow");
    listener.proxy_protocol = read_proxy_protocol(section.table("proxy_protocol"), protocol);
    section.choice("auth", listener.auth);
    check_auth(section, listener);
    return listener;
}

}  // namespace

std::vector<Listener> read_listeners(const Section& cluster, Protocol protocol) {
    std::vector<Listener> out;
    if (cluster.has("listen")) {
        Listener listener;
        listener.line = cluster.at("listen").line;
        listener.listen = read_addresses(cluster, cluster.path());
        out.push_back(std::move(listener));
    }
    for (const Section& section : cluster.tables("listener")) {
        out.push_back(read_listener(section, section.path(), protocol));
    }
    const bool has_none = !cluster.has("listen") && (!cluster.has("listener") || out.empty());
    if (has_none) {
        cluster.context().error(cluster.at(), cluster.path() +
                                                  ": there is no listener; write listen = "
                                                  "\"0.0.0.0:6432\", or a [[" +
                                                  cluster.path() + ".listener]]");
    }
    return out;
}

}  // namespace holdfast::config
