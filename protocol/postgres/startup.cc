#include "protocol/postgres/startup.h"

#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/postgres/messages.h"

namespace holdfast::postgres {

namespace {

constexpr std::string_view protocol_option_prefix = "_pq_.";
constexpr size_t name_bytes_max = 63;  // NAMEDATALEN less its NUL

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_beginning_of(std::string_view text, std::string_view word) {
    return text.size() <= word.size() &&
           std::equal(text.begin(), text.end(), word.begin(), [](char a, char b) { return lower(a) == b; });
}

/// The minor version that the connection goes on with.
uint32_t negotiated_minor(uint32_t asked) {
    // 3.1 is reserved: some servers of the past negotiated it by mistake, nothing ever spoke it.
    return asked >= newest_protocol_minor ? newest_protocol_minor : 0;
}

Result<Startup::Replication> parse_replication(std::string_view text) {
    if (text == "database") return Startup::Replication::logical;
    const auto is_physical = parse_boolean(text);
    if (!is_physical) {
        return Error{ErrorCode::bad_value,
                     "invalid value for parameter \"replication\": \"" + std::string(text) + "\""};
    }
    return *is_physical ? Startup::Replication::physical : Startup::Replication::none;
}

/// Sets a parameter; the last of several with one name counts.
void set_parameter(Parameters& parameters, std::string& name, std::string& value) {
    const auto known = std::find_if(parameters.begin(), parameters.end(),
                                    [&name](const auto& parameter) { return parameter.first == name; });
    if (known != parameters.end()) {
        known->second = std::move(value);
    } else {
        parameters.emplace_back(std::move(name), std::move(value));
    }
}

}  // namespace

std::string_view Startup::parameter(std::string_view name) const {
    for (const auto& [known, value] : parameters) {
        if (known == name) return value;
    }
    return {};
}

std::optional<bool> parse_boolean(std::string_view text) {
    if (text.empty()) return std::nullopt;
    if (text == "1") return true;
    if (text == "0") return false;
    if (is_beginning_of(text, "true") || is_beginning_of(text, "yes")) return true;
    if (is_beginning_of(text, "false") || is_beginning_of(text, "no")) return false;
    if (text.size() < 2) return std::nullopt;  // "o" may be either
    if (is_beginning_of(text, "on")) return true;
    if (is_beginning_of(text, "off")) return false;
    return std::nullopt;
}

Result<std::optional<OpeningPacket>> take_opening_packet(Bytes in) {
    if (in.size() < 4) return std::optional<OpeningPacket>{};
    const uint32_t length = load_u32(in.data());
    if (length < 8 || length > limits::postgres_startup_packet_bytes_max) {
        return Error{ErrorCode::bad_length, "invalid length of startup packet"};
    }
    if (in.size() < length) return std::optional<OpeningPacket>{};
    return std::optional<OpeningPacket>{OpeningPacket{load_u32(in.data() + 4), in.subspan(8, length - 8)}};
}

Result<StartupRequest> read_startup(uint32_t version, Bytes rest) {
    const uint32_t major = version >> 16;
    const uint32_t minor = version & 0xffff;
    if (major != 3) {
        return Error{ErrorCode::unsupported, "unsupported frontend protocol " + std::to_string(major) + "." +
                                                 std::to_string(minor) + ": server supports 3.0 to 3." +
                                                 std::to_string(newest_protocol_minor)};
    }
    auto parameters = parse_startup_parameters(rest);
    if (!parameters) return parameters.error();

    StartupRequest request;
    Startup& startup = request.startup;
    startup.protocol_minor = negotiated_minor(minor);
    for (auto& [name, value] : *parameters) {
        if (name == "user") {
            startup.user = std::move(value);
        } else if (name == "database") {
            startup.database = std::move(value);
        } else if (name.starts_with(protocol_option_prefix)) {
            request.unrecognized_options.push_back(std::move(name));
        } else {
            set_parameter(startup.parameters, name, value);
        }
    }
    request.needs_negotiation = startup.protocol_minor != minor || !request.unrecognized_options.empty();

    if (startup.user.empty()) {
        return Error{ErrorCode::denied, "no PostgreSQL user name specified in startup packet"};
    }
    if (startup.database.empty()) startup.database = startup.user;
    // As the server does, which looks at bytes here and not at characters: a longer name is that of the role
    // or database that was created under it.
    if (startup.user.size() > name_bytes_max) startup.user.resize(name_bytes_max);
    if (startup.database.size() > name_bytes_max) {
        startup.database.resize(name_bytes_max);
    }
    const auto replication =
        std::find_if(startup.parameters.begin(), startup.parameters.end(),
                     [](const auto& parameter) { return parameter.first == "replication"; });
    if (replication != startup.parameters.end()) {
        const auto parsed = parse_replication(replication->second);
        if (!parsed) return parsed.error();
        startup.replication = *parsed;
    }
    return request;
}

}  // namespace holdfast::postgres
