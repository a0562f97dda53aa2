#include "proxy/app/classify.h"

#include <algorithm>
#include <istream>
#include <ostream>
#include <string>

#include <nlohmann/json.hpp>

#include "protocol/base/limits.h"

namespace holdfast::app {

namespace {

using Json = nlohmann::ordered_json;

Json describe(const sql::Classification& classification) {
    Json session = Json::array();
    for (size_t i = 0; i < classification.statement_count; ++i) {
        for (const sql::Effect& effect : classification.statements[i].effects) {
            const Json word = std::string(to_string(effect.kind));
            if (std::find(session.begin(), session.end(), word) == session.end()) session.push_back(word);
        }
    }
    return {{"destination", std::string(to_string(classification.destination))},
            {"reason", std::string(to_string(classification.reason))},
            {"session", std::move(session)}};
}

/// What the proxy would make of the message: like there, only the beginning of a very long one is looked at.
void classify_as_proxied(sql::Dialect dialect, std::string_view message, sql::Classification& out) {
    sql::Context context;
    context.truncated = message.size() > limits::statement_classified_bytes_max;
    sql::classify(dialect, message.substr(0, limits::statement_classified_bytes_max), context, out);
}

}  // namespace

int classify_lines(sql::Dialect dialect, std::istream& in, std::ostream& out) {
    bool all_good = true;
    sql::Classification classification;
    for (std::string line; std::getline(in, line);) {
        const Json message = Json::parse(line, nullptr, /*allow_exceptions=*/false);
        if (message.is_string()) {
            classify_as_proxied(dialect, message.get_ref<const std::string&>(), classification);
            out << describe(classification).dump();
        } else {
            all_good = false;
            out << Json{{"error", message.is_discarded() ? "not JSON" : "not a JSON string"}}.dump();
        }
        out << '\n' << std::flush;
    }
    return all_good && out ? 0 : 1;
}

}  // namespace holdfast::app
