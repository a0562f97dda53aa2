#include "protocol/dialect/dialect.h"

namespace holdfast::dialect {

std::string Pins::describe() const {
    std::string text;
    const auto add = [&](bool present, std::string_view what) {
        if (!present) return;
        if (!text.empty()) text += ", ";
        text += what;
    };
    add(temporary, "temporary tables");
    add(advisory_locks > 0, "advisory locks");
    add(held_cursors > 0, "cursors WITH HOLD");
    add(settings, "settings that could not be recorded");
    add(variables, "user variables");
    add(routines, "what a procedure may have left behind");
    add(table_locks, "table locks");
    add(handlers > 0, "open handlers");
    add(long_data > 0, "parameters sent in pieces");
    add(replication, "the replication stream");
    return text;
}

}  // namespace holdfast::dialect
