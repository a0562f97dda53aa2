#include "proxy/engine/cancel.h"

#include <utility>

#include "protocol/base/limits.h"
#include "proxy/engine/cluster.h"

namespace holdfast::engine {

CancelSender::CancelSender(Cluster& cluster, ByteBuffer request, std::function<void()> on_done)
    : cluster_(cluster), request_(std::move(request)), on_done_(std::move(on_done)) {}

void CancelSender::send(Cluster& cluster, ServerId server, ByteBuffer request,
                        std::function<void()> on_done) {
    std::shared_ptr<CancelSender> sender(new CancelSender(cluster, std::move(request), std::move(on_done)));
    sender->self_ = sender;
    CancelSender& self = *sender;
    self.limit_ = cluster.world().after(limits::server_login_timeout, [&self] { self.finish(); });
    self.attempt_ = cluster.world().connect(cluster.server(server).address, cluster.settings(), self,
                                            [&self](Result<std::unique_ptr<Link>> link) {
                                                self.attempt_.reset();
                                                if (!link) return self.finish();
                                                self.link_ = *std::move(link);
                                                self.link_->write(self.request_);
                                            });
}

void CancelSender::on_ended(LinkEnd, std::string_view) {
    finish();
}

void CancelSender::finish() {
    limit_.reset();
    if (!self_) return;
    // We may be inside a callback of our own link: die at the end of the turn.
    cluster_.world().defer([self = std::move(self_), on_done = std::move(on_done_)] {
        if (on_done) on_done();
    });
}

CancelCommand::CancelCommand(Cluster& cluster, ByteBuffer command, std::function<void()> on_done)
    : cluster_(cluster), command_(std::move(command)), on_done_(std::move(on_done)) {}

void CancelCommand::send(Cluster& cluster, ServerId server, IdentityRef identity,
                         std::shared_ptr<const dialect::Credential> credential, ByteBuffer header,
                         ByteBuffer command, std::function<void()> on_done) {
    std::shared_ptr<CancelCommand> sender(new CancelCommand(cluster, std::move(command), std::move(on_done)));
    sender->self_ = sender;
    CancelCommand& self = *sender;
    self.limit_ = cluster.world().after(limits::server_login_timeout, [&self] { self.finish(); });
    self.connection_ = std::make_unique<ServerConnection>(cluster, server, std::move(identity),
                                                          std::move(credential), std::move(header));
    self.connection_->start(self, ServerConnection::Turn::at_once);
}

void CancelCommand::on_server_ready(ServerConnection& connection) {
    connection.link()->write(command_);
}

/// Its answer, whatever it is: what the command was to end may just have ended by itself.
size_t CancelCommand::on_server_bytes(ServerConnection&, Bytes bytes) {
    finish();
    return bytes.size();
}

void CancelCommand::finish() {
    limit_.reset();
    if (!self_) return;
    if (connection_) connection_->retire();
    cluster_.world().defer([self = std::move(self_), on_done = std::move(on_done_)] {
        if (on_done) on_done();
    });
}

}  // namespace holdfast::engine
