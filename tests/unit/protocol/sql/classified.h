#pragma once

#include <string>
#include <string_view>

#include "protocol/sql/classify.h"

namespace holdfast::sql {

inline Classification classified(std::string_view message, const Context& context = {}) {
    Classification out;
    classify(Dialect::postgres, message, context, out);
    return out;
}

/// "replica read", "primary write", …: where a message goes and why.
inline std::string route(std::string_view message, const Context& context = {}) {
    const Classification out = classified(message, context);
    return std::string(to_string(out.destination)) + " " + std::string(to_string(out.reason));
}

inline std::string destination(std::string_view message, const Context& context = {}) {
    return std::string(to_string(classified(message, context).destination));
}

/// "set timezone, sequence": the effects of all statements, each with its key.
inline std::string effects(std::string_view message, const Context& context = {}) {
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

/// What the only effect of a message is replayed by.
inline std::string replay(std::string_view message) {
    const Classification out = classified(message);
    if (out.statement_count == 0 || out.statements.back().effects.size() != 1) return "(not one effect)";
    return out.statements.back().effects[0].replay;
}

inline Control control(std::string_view message) {
    const Classification out = classified(message);
    return out.statement_count == 1 ? out.statements[0].control : Control::none;
}

}  // namespace holdfast::sql
