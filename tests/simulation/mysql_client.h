#pragma once

#include <map>
#include <memory>
#include <string>

#include "protocol/dialect/dialect.h"
#include "tests/simulation/client.h"

namespace holdfast::simulation {

/// An application of MariaDB's. Some have DEPRECATE_EOF, some have not.
class MysqlClient final : public Client {
public:
    MysqlClient(Neighbourhood& around, size_t number, Role role);
    ~MysqlClient() override;

private:
    /// Where in the answer to an item it is.
    enum class Part { head, columns, columns_end, rows, parameters, parameters_end };

    void say_hello() override;
    void read_messages() override;
    void expect(const Unit& unit) override;
    void encode(Unit& unit, ByteBuffer& out) override;
    void append_goodbye(ByteBuffer& out) override;
    void misbehave() override;
    void send_cancel() override;
    std::string setting() const override { return "@tenant"; }
    std::string set_text(const std::string& value) const override { return "SET @tenant = '" + value + "'"; }
    std::string show_text() const override { return "SELECT @tenant"; }
    std::string begin_text(bool only_reads) const override;
    Item prepared_read_of(int64_t key) override;
    Unit one(Item item) override;
    bool plan_own_way() override;
    void settle(Unit& unit) override;

    std::unique_ptr<dialect::ServerHandshake> make_login() const;
    void append_login(dialect::ServerHandshake& login, Bytes greeting, ByteBuffer& out) const;
    void handle_login(uint8_t sequence, Bytes payload);
    void handle(uint8_t sequence, Bytes payload);
    void on_head(Bytes payload);
    void on_prepared(Bytes payload);
    void on_error(Bytes payload);
    void on_row(Bytes payload);
    void item_is_over(uint16_t status);
    bool is_end_of_rows(Bytes payload) const;

    const bool is_classic_;  // without DEPRECATE_EOF
    std::unique_ptr<dialect::ServerHandshake> login_;
    uint32_t thread_id_ = 0;
    std::map<std::string, uint32_t> ids_;  // of prepared statements, by their names
    // Of the first unit in flight
    Part part_ = Part::head;
    size_t item_ = 0;
    size_t left_ = 0;          // definitions
    size_t columns_left_ = 0;  // of them, behind the parameters'
    uint8_t sequence_ = 1;     // of the next packet
};

}  // namespace holdfast::simulation
