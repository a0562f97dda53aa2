#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "protocol/sql/classify.h"
#include "protocol/sql/normalise.h"
#include "protocol/sql/prepare.h"

// Any bytes get a classification that is in itself consistent, and a write stays a write whatever stands
// before it.
namespace {

using namespace holdfast::sql;

void require(bool holds) {
    if (!holds) std::abort();
}

void check(std::string_view message, const Classification& out) {
    require(out.statement_count <= out.statements.size());
    bool has_effects = false;
    bool has_control = false;
    bool is_any_primary = false;
    bool is_any_replica = false;
    uint32_t last_end = 0;
    for (uint32_t i = 0; i < out.statement_count; ++i) {
        const Statement& statement = out.statements[i];
        require(last_end <= statement.begin && statement.begin <= statement.end &&
                statement.end <= message.size());
        last_end = statement.end;
        has_effects = has_effects || !statement.effects.empty();
        has_control = has_control || statement.control != Control::none;
        is_any_primary = is_any_primary || statement.destination == Destination::primary;
        is_any_replica = is_any_replica || statement.destination == Destination::replica;
        require(!to_string(statement.reason).empty());
        for (const Effect& effect : statement.effects) {
            if (effect.kind == EffectKind::prepare) prepared_body(effect.replay);
        }
    }
    require(out.has_effects == has_effects && out.has_control == has_control);
    if (is_any_primary) require(out.destination == Destination::primary);
    if (out.destination == Destination::replica) require(is_any_replica);
    if (out.destination == Destination::transaction) require(!is_any_replica);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view message(reinterpret_cast<const char*>(data), size);
    static Classification out;
    for (const bool standard_conforming_strings : {true, false}) {
        Context context{.standard_conforming_strings = standard_conforming_strings};
        classify(Dialect::postgres, message, context, out);
        check(message, out);
        const Destination destination = out.destination;
        const Reason reason = out.reason;

        const std::string commented = "/* a 'comment' */" + std::string(message);
        classify(Dialect::postgres, commented, context, out);
        require(out.destination == destination && out.reason == reason);

        const std::string with_write = std::string(message) + "\n;INSERT INTO t VALUES (1)";
        classify(Dialect::postgres, with_write, context, out);
        check(with_write, out);
        require(out.destination == Destination::primary);

        context.truncated = true;
        classify(Dialect::postgres, message, context, out);
        require(out.destination == Destination::primary);
        context.truncated = false;
        context.encoding_is_safe = false;
        classify(Dialect::postgres, message, context, out);
        require(out.destination == Destination::primary);
    }
    for (const Dialect dialect : {Dialect::postgres, Dialect::mysql}) {
        require(fingerprint(dialect, message) == fingerprint_of_normalised(normalise(dialect, message)));
        require(comments(dialect, message).size() <= size);
    }
    return 0;
}
