#pragma once

#include <cstddef>
#include <cstdint>

#include "protocol/base/bytes.h"
#include "protocol/dialect/dialect.h"
#include "protocol/mysql/statements.h"
#include "protocol/sql/classify.h"

namespace holdfast::mysql {

/// What the request side found in one look at the client's bytes, and a buffer for rewritten answers. One for
/// all sessions of a dialect: it is only valid between a cut() and the accept() or refuse_unit() that follows
/// it at once; `answer` between a scan() and the next one.
struct CutScratch {
    const void* of = nullptr;  // whose request it is, until that is sent or answered
    uint8_t command = 0;
    sql::Classification query;  // of COM_QUERY
    dialect::UnitFacts facts;
    size_t size = 0;            // bytes of the request that are there
    size_t stream_left = 0;     // bytes of its last packet that have not arrived
    bool continues = false;     // a further packet belongs to it
    StatementRef statement;     // of COM_STMT_PREPARE, …_EXECUTE and their like
    uint32_t statement_id = 0;  // the client's; 0: none
    bool is_answered = true;
    bool opens_cursor = false;
    bool ends_transaction = false;  // a COMMIT, a ROLLBACK or a BEGIN is in it
    bool unlocks = false;           // it may write on a connection that only reads, or has what follows do so
    bool prepares_xa = false;
    bool is_last_prepared = false;  // it names its statement as "the last one prepared", which is in flight
    ByteBuffer answer;
    void clear();
};

}  // namespace holdfast::mysql
