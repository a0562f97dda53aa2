#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/limits.h"
#include "protocol/base/ring.h"
#include "protocol/dialect/dialect.h"
#include "protocol/sql/classify.h"

namespace holdfast::dialect {

/// What every dialect keeps of a unit in flight (see UnitFacts).
struct UnitInFlight {
    bool rerunnable = false;  // nothing in it can have changed data
    bool may_write = true;
    bool needs_primary = false;
    bool commits = false;
    bool begins = false;          // a transaction
    bool is_rollback = false;     // nothing but a ROLLBACK
    bool had_error = false;       // its answer is one, or has one in it
    bool rows_delivered = false;  // more than heads (what stands in front of rows) went to the client
    uint32_t heads_delivered = 0;
    uint32_t heads_to_swallow = 0;  // of the answer that comes again: the client has them
    uint32_t next_statement = 0;    // of `statements`
    std::unique_ptr<std::vector<sql::Statement>> statements;  // only when some have an effect or control
    bool asks_for_locks = false;  // calls of lock functions: what they came to stands in a row
    std::string first_row;        // … of the answer under way, or its beginning

    void take_row(std::string_view row) {
        if (asks_for_locks && first_row.empty()) first_row = row.substr(0, limits::lock_row_bytes_max);
    }

    /// One more head of the answer came. False: the client has it already.
    bool deliver_head() {
        if (heads_to_swallow > 0) {
            --heads_to_swallow;
            return false;
        }
        ++heads_delivered;
        return true;
    }
    /// It is sent again, to be answered from the start.
    void run_again() {
        heads_to_swallow = heads_delivered;
        had_error = false;
        next_statement = 0;
        first_row.clear();
    }
    /// Keeps what has to be known of the statements when they have succeeded.
    void keep_statements(const sql::Classification& classes) {
        if (!classes.has_effects && !classes.has_control) return;
        const auto begin = classes.statements.begin();
        statements = std::make_unique<std::vector<sql::Statement>>(
            begin, begin + static_cast<std::ptrdiff_t>(classes.statement_count));
    }
};

/// The units in flight of one session, oldest first.
/// Unit    a UnitInFlight with what its dialect needs besides
template <typename Unit>
class Units : public Ring<Unit> {
public:
    bool rerunnable() const {
        for (size_t i = 0; i < this->size(); ++i) {
            if (!this->at(i).rerunnable || this->at(i).rows_delivered) return false;
        }
        return true;
    }
    bool needs_primary() const {
        for (size_t i = 0; i < this->size(); ++i) {
            if (this->at(i).needs_primary) return true;
        }
        return false;
    }
    /// Whether the oldest can have committed something.
    /// transaction    the session's
    bool may_have_committed(Transaction transaction) const {
        if (this->empty()) return false;
        const Unit& oldest = this->at(0);
        if (oldest.commits || (transaction == Transaction::idle && oldest.may_write)) return true;
        // Part of a transaction whose COMMIT is on the wire behind it: who runs it again may run it twice.
        if (transaction == Transaction::idle && !oldest.begins) return false;
        for (size_t i = 1; i < this->size(); ++i) {
            if (this->at(i).commits) return true;
        }
        return false;
    }
};

}  // namespace holdfast::dialect
