#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/sql/classify.h"
#include "protocol/sql/prepare.h"
#include "tests/fuzz/classification_checks.h"

// Any bytes get a classification that is in itself consistent, and a write stays a write whatever stands
// before it.
using namespace holdfast::sql;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view message(reinterpret_cast<const char*>(data), size);
    static Classification out;
    for (const bool standard_conforming_strings : {true, false}) {
        Context context{.standard_conforming_strings = standard_conforming_strings};
        classify(Dialect::postgres, message, context, out);
        check(message, out);
        for (uint32_t i = 0; i < out.statement_count; ++i) {
            for (const Effect& effect : out.statements[i].effects) {
                if (effect.kind == EffectKind::prepare) prepared_body(effect.replay);
            }
        }
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
    check_texts(Dialect::postgres, message);
    return 0;
}
