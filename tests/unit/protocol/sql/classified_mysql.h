#pragma once

#include <string>
#include <string_view>

#include "protocol/sql/classify.h"

namespace holdfast::sql::mysql {

inline const Context mariadb{};
inline const Context mysql8{.is_mariadb = false, .server_version = 80'036};

inline Classification classified(std::string_view message, const Context& context = mariadb) {
    Classification out;
    classify(Dialect::mysql, message, context, out);
    return out;
}

/// "replica read", "primary write", …: where a message goes and why.
inline std::string route(std::string_view message, const Context& context = mariadb) {
    const Classification out = classified(message, context);
    return std::string(to_string(out.destination)) + " " + std::string(to_string(out.reason)) +
           (out.same_connection ? ", same connection" : "");
}

/// "set time_zone, sequence": the effects of all statements, each with its key.
inline std::string effects(std::string_view message, const Context& context = mariadb) {
    const Classification out = classified(message, context);
    std::string text;
    for (uint32_t i = 0; i < out.statement_count; ++i) {
        for (const Effect& effect : out.statements[i].effects) {
            if (!text.empty()) text += ", ";
            text += to_string(effect.kind);
            if (!effect.key.empty()) text += " " + effect.key;
        }
    }
    return text;
}

/// What the effects of a message are replayed by, a line each.
inline std::string replay(std::string_view message, const Context& context = mariadb) {
    const Classification out = classified(message, context);
    std::string text;
    for (uint32_t i = 0; i < out.statement_count; ++i) {
        for (const Effect& effect : out.statements[i].effects) {
            if (!text.empty()) text += "\n";
            text += effect.replay.empty() ? "(nothing)" : effect.replay;
        }
    }
    return text;
}

inline Control control(std::string_view message, const Context& context = mariadb) {
    const Classification out = classified(message, context);
    return out.statement_count == 1 ? out.statements[0].control : Control::none;
}

}  // namespace holdfast::sql::mysql
