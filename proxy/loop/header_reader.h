#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "protocol/base/proxy_header.h"
#include "protocol/base/result.h"
#include "proxy/engine/world.h"
#include "proxy/loop/address.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/socket_link.h"

namespace holdfast::loop {

/// Owns an accepted link until its PROXY protocol header has come. Owned by the listener.
class HeaderReader final : public engine::LinkOwner {
public:
    /// A header; nullopt: the connection begins without one, and need not have one; or an error, which also
    /// says that it ended or took too long.
    using OnDone =
        std::function<void(HeaderReader& reader, const Result<std::optional<ProxyHeader>>& header)>;
    /// on_done  called once; it may take the link, and must not destroy the reader at once
    HeaderReader(Loop& loop, std::unique_ptr<SocketLink> link, PeerAddress peer, bool is_required,
                 OnDone on_done);

    const PeerAddress& peer() const { return peer_; }
    std::unique_ptr<SocketLink> take_link() { return std::move(link_); }

    size_t on_bytes(Bytes bytes) override;
    void on_writable() override {}
    void on_secured() override {}
    void on_ended(engine::LinkEnd end, std::string_view detail) override;

private:
    void finish(const Result<std::optional<ProxyHeader>>& header);

    std::unique_ptr<SocketLink> link_;
    PeerAddress peer_;
    bool is_required_;
    OnDone on_done_;
    Loop& loop_;
    std::unique_ptr<engine::Timer> timer_;
};

}  // namespace holdfast::loop
