#pragma once

#include <deque>
#include <string>
#include <vector>

#include "tests/simulation/client.h"

namespace holdfast::simulation {

/// An application of PostgreSQL's.
class PostgresClient final : public Client {
public:
    using Client::Client;

private:
    /// A message that is to come.
    struct Step {
        char type;
        size_t item;
    };

    void say_hello() override;
    void read_messages() override;
    void expect(const Unit& unit) override;
    void encode(Unit& unit, ByteBuffer& out) override;
    void append_goodbye(ByteBuffer& out) override;
    void misbehave() override;
    void send_cancel() override;
    std::string setting() const override { return "current_setting('app.tenant')"; }
    std::string set_text(const std::string& value) const override {
        return "SET app.tenant = '" + value + "'";
    }
    std::string show_text() const override { return "SHOW app.tenant"; }
    std::string begin_text(bool only_reads) const override;
    bool is_postgres() const override { return true; }
    Item prepared_read_of(int64_t key) override;
    void note_prepared(const Item& item) override;

    void handle(char type, Bytes body);
    void on_error(Bytes body);
    void on_row(Bytes body);

    ByteBuffer cancel_key_;
    std::deque<Step> steps_;          // of the first unit in flight
    std::vector<std::string> named_;  // statements prepared by the protocol
};

}  // namespace holdfast::simulation
