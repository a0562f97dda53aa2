#pragma once

#include <memory>
#include <string>

#include "proxy/engine/world.h"
#include "tests/simulation/network.h"

namespace holdfast::simulation {

/// A Link over the simulated network, as exact about its contract as the real one: it never calls back from
/// inside write(), pause() or resume(), keeps what was not consumed, and gives nothing while paused.
/// Reads come in random portions, and each time in memory of its own, so that a view kept too long shows.
class SimLink final : public engine::Link {
public:
    SimLink(Network& network, std::shared_ptr<Endpoint> endpoint);
    ~SimLink() override;

    /// Who hears of the link. Bytes begin to come in a later turn.
    void adopt(engine::LinkOwner& owner);

    void write(Bytes bytes) override { write(bytes, {}); }
    void write(Bytes first, Bytes second) override;
    size_t queued() const override { return queue_.size() - queue_used_; }
    void pause(engine::Pause reason) override;
    void resume(engine::Pause reason) override;
    bool paused() const override { return pauses_ != 0; }
    void start_tls_as_server(Bytes received) override;
    void start_tls_as_client(const config::ServerTls& settings, const std::string& host) override;
    bool is_secured() const override { return false; }
    const engine::TlsFacts* tls() const override { return nullptr; }

protected:
    void finish() override;

private:
    void on_change();
    void wake();
    bool flush();
    void read();
    bool give(ByteBuffer added);
    void end(engine::LinkEnd how, std::string_view detail);
    void go_on_finishing();

    Network& network_;
    std::shared_ptr<Endpoint> endpoint_;
    engine::LinkOwner* owner_ = nullptr;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::shared_ptr<Events::Task> finish_limit_;
    ByteBuffer remainder_;  // what the owner has not consumed
    ByteBuffer queue_;      // what the network has not taken
    size_t queue_used_ = 0;
    unsigned pauses_ = 0;
    bool over_high_ = false;
    bool give_again_ = false;
    bool ended_ = false;
    bool finishing_ = false;
};

}  // namespace holdfast::simulation
