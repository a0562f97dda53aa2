#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/sql/classify.h"
#include "protocol/sql/prepare.h"
#include "tests/fuzz/classification_checks.h"

// Any bytes get a classification that is in itself consistent; a write stays a write whatever stands before
// it, and what one server runs of a text is never less restricted for a comment before it.
using namespace holdfast::sql;

namespace {

void check_replays(const Classification& out, const Context& context) {
    Classification again;
    for (uint32_t i = 0; i < out.statement_count; ++i) {
        for (const Effect& effect : out.statements[i].effects) {
            if (effect.replay.empty()) continue;
            if (effect.kind == EffectKind::prepare) prepared_literal(effect.replay, context);
            // What is replayed does one thing, and the same.
            classify(Dialect::mysql, effect.replay, context, again);
            require(again.statement_count == 1 && again.statements[0].effects.size() == 1);
            require(again.statements[0].effects[0].kind == effect.kind &&
                    again.statements[0].effects[0].key == effect.key);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view message(reinterpret_cast<const char*>(data), size);
    static Classification out;
    for (unsigned variant = 0; variant < 8; ++variant) {
        Context context{.ansi_quotes = (variant & 1) != 0, .no_backslash_escapes = (variant & 2) != 0};
        context.is_mariadb = (variant & 4) == 0;
        if (!context.is_mariadb) context.server_version = 80'036;
        classify(Dialect::mysql, message, context, out);
        check(message, out);
        check_replays(out, context);
        const Destination destination = out.destination;
        const Reason reason = out.reason;

        const std::string commented = "/* a 'comment' */" + std::string(message);
        classify(Dialect::mysql, commented, context, out);
        require(out.destination == destination && out.reason == reason);

        const std::string with_write = std::string(message) + "\n;INSERT INTO t VALUES (1)";
        classify(Dialect::mysql, with_write, context, out);
        check(with_write, out);
        require(out.destination == Destination::primary);

        context.truncated = true;
        classify(Dialect::mysql, message, context, out);
        require(out.destination == Destination::primary);
    }
    check_texts(Dialect::mysql, message);
    return 0;
}
