#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "tests/simulation/books.h"
#include "tests/simulation/network.h"

namespace holdfast::simulation {

/// What the clients of a run have in common.
struct Neighbourhood {
    Network& network;
    Books& books;
    Trace& trace;
    std::function<void(std::shared_ptr<Endpoint>)> arrive;  // a connection comes in at the proxy
    Duration wait{};                                        // failover.wait
    bool consistent = true;                                 // sessions read their own writes
    bool lossless = true;                                   // commits are synchronous
    unsigned busy_percent = 100;                            // pauses are longer when lower
    int64_t keys = 0;                                       // of all clients
    bool rejects = false;                                   // failover.no_primary: reads too, in the end
    bool speaks_mysql = false;
};

/// One statement, what it must answer, and what it did.
struct Item {
    std::string sql;
    std::string complete;  // how its CommandComplete begins
    uint64_t tag = 0;      // to be echoed in rows, when there are any
    bool rows = false;
    bool writes = false;
    bool commits = false;
    bool reads_own = false;
    int64_t raises_to = 0;  // of a raise of the own key
    bool bumps = false;
    enum class Savepoint { none, set, release, rollback };
    Savepoint savepoint = Savepoint::none;
    std::string tenant;               // what it sets, in a transaction
    std::string fails_with;           // the error that it is sent for
    std::string prepared_name;        // extended: a named statement …
    std::vector<std::string> values;  // … and its parameters
    std::optional<std::string> first_column;
    bool done = false;
    std::string done_tag;
    bool is_open = false;  // MySQL: a transaction was under way behind it
};

/// The requests up to one ReadyForQuery.
struct Unit {
    bool extended = false;
    bool flushes = false;   // a Flush somewhere before the Sync
    bool prepares = false;  // MySQL: a COM_STMT_PREPARE
    std::vector<Item> items;
    std::string tenant;  // what current_setting() must give
    TimePoint sent_at{};
    std::string error;
    std::string error_text;
    size_t rows = 0;
    char status = 'I';
    bool alone = true;  // no other unit was in flight with it
    bool writes() const;
};

enum class Role { inserter, raiser, bumper, reader, idler, listener, ticketer, slow_reader, troubled };
const char* to_string(Role role);

/// A simulated application: talks to the proxy, keeps account of what it is told, and checks that each answer
/// belongs to its question. What it speaks is a subclass's. Owned by the run.
class Client {
public:
    Client(Neighbourhood& around, size_t number, Role role);
    virtual ~Client();

    void begin(Duration delay);
    /// No new work from now on.
    void stop() { stopping_ = true; }
    bool is_idle() const;
    std::string describe() const;
    /// One write and one read that must succeed.
    void make_last_check();
    /// As a sender of a notification to everybody who listens.
    [[nodiscard]] bool send_notification(const std::string& payload);
    void leave();
    Role role() const { return role_; }
    bool has_heard(const std::string& payload) const;
    bool is_listening() const { return listening_; }

protected:
    enum class Phase { away, logging_in, ready, leaving };

    // The wire: of a subclass
    /// Begins a login.
    virtual void say_hello() = 0;
    /// Takes in what has come.
    virtual void read_messages() = 0;
    /// Notes the answers that a unit will get, which is the first in flight now.
    virtual void expect(const Unit& unit) = 0;
    virtual void encode(Unit& unit, ByteBuffer& out) = 0;
    virtual void append_goodbye(ByteBuffer& out) = 0;
    /// Appends to `out_` what nobody may send.
    virtual void misbehave() = 0;
    /// Asks, on a connection of its own, for the end of what runs.
    virtual void send_cancel() {}
    // Its SQL
    virtual std::string setting() const = 0;
    virtual std::string set_text(const std::string& value) const = 0;
    virtual std::string show_text() const = 0;
    virtual std::string begin_text(bool only_reads) const = 0;
    virtual bool is_postgres() const { return false; }
    virtual Item prepared_read_of(int64_t key) = 0;
    // Its ways
    /// True: it did something that only this protocol has.
    virtual bool plan_own_way() { return false; }
    virtual void note_prepared(const Item& /*item*/) {}
    virtual Unit one(Item item);
    /// Books what became of the unit's writes, and of its transaction's.
    virtual void settle(Unit& unit);

    // The connection: client.cc
    void connect();
    void on_change();
    void send(std::vector<Unit> units);
    void flush();
    void lost(std::string_view how);
    void disconnect(bool politely);
    void say(std::string_view what);
    void problem(const std::string& what);

    // What it does: workload.cc, transactions.cc
    void think();
    void plan();
    void plan_transaction();
    void end_transaction();
    Item read_of(int64_t key);
    Item plain(std::string sql, std::string complete);
    Item insert();
    Item raise();
    Item bump();
    Item set_in_transaction();
    Item rollback_to_savepoint();

    // What it makes of the answers: answers.cc
    void unit_done(Unit& unit);
    void unit_is_over();
    void take_row(Item& item, const std::vector<std::string>& columns);
    void item_done(Item& item);
    void judge_error(const Unit& unit);
    void undo_to_savepoint();
    void forget_transaction();
    void all_done();

    bool chance(unsigned percent) { return around_.network.random().chance(percent); }

    Neighbourhood& around_;
    std::string name_;
    size_t number_;
    Role role_;
    Phase phase_ = Phase::away;
    std::shared_ptr<Endpoint> endpoint_;
    std::shared_ptr<Events::Task> next_;
    ByteBuffer in_;
    ByteBuffer out_;
    std::deque<Unit> units_;  // in flight
    bool stopping_ = false;
    bool may_be_closed_ = false;  // it has misbehaved
    bool cancelled_once_ = false;
    bool read_later_ = false;
    TimePoint login_began_{};

    // The session as the client knows it.
    char status_ = 'I';
    std::string tenant_;
    std::string tenant_asked_;
    bool tenant_set_ = false;
    bool prepared_ = false;  // PREPARE …
    bool listening_ = false;
    std::string prepare_name_;
    int attempts_ = 0;
    TimePoint transaction_began_{};
    std::vector<uint64_t> transaction_tags_;
    int transaction_bumps_ = 0;
    int transaction_step_ = 0;
    struct Savepoint {
        std::string name;
        size_t tags;  // of the transaction, so far
        int bumps;
        std::optional<std::string> tenant;
        bool was_tried = false;  // to save a failed transaction
    };
    std::optional<Savepoint> savepoint_;
    std::optional<std::string> tenant_in_transaction_;
    std::string failed_by_;  // the error that made the transaction fail
    std::vector<std::string> heard_;
    // Its own row: what it must be at least and can be at most.
    int64_t floor_ = 0;
    int64_t ceiling_ = 0;
    std::vector<uint64_t> own_acknowledged_;
};

/// A client that speaks the cluster's protocol.
std::unique_ptr<Client> make_client(Neighbourhood& around, size_t number, Role role);

}  // namespace holdfast::simulation
