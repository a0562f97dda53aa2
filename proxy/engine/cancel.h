#pragma once

#include <memory>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "proxy/engine/world.h"

namespace holdfast::engine {

class Cluster;

/// Carries one cancel request to a server on a connection of its own. Lives by itself until the server has
/// closed that connection (then the request has been dealt with) or a few seconds have passed.
class CancelSender final : public LinkOwner {
public:
    static void send(Cluster& cluster, ServerId server, ByteBuffer request);

    size_t on_bytes(Bytes bytes) override { return bytes.size(); }
    void on_writable() override {}
    void on_secured() override {}
    void on_ended(LinkEnd end, std::string_view detail) override;

private:
    CancelSender(Cluster& cluster, ByteBuffer request);
    void finish();

    Cluster& cluster_;
    ByteBuffer request_;
    std::unique_ptr<Link> link_;
    std::unique_ptr<Timer> attempt_;
    std::unique_ptr<Timer> limit_;
    std::shared_ptr<CancelSender> self_;
};

}  // namespace holdfast::engine
