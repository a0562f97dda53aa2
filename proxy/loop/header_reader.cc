#include "proxy/loop/header_reader.h"

#include <string>
#include <utility>

#include "protocol/base/limits.h"

namespace holdfast::loop {

HeaderReader::HeaderReader(Loop& loop, std::unique_ptr<SocketLink> link, PeerAddress peer, bool is_required,
                           OnDone on_done)
    : link_(std::move(link)),
      peer_(std::move(peer)),
      is_required_(is_required),
      on_done_(std::move(on_done)),
      loop_(loop) {
    timer_ = loop.after(limits::proxy_header_timeout, [this] {
        finish(Error{ErrorCode::timed_out, "PROXY protocol: no header within " +
                                               std::to_string(limits::proxy_header_timeout.count()) + "ms"});
    });
}

size_t HeaderReader::on_bytes(Bytes bytes) {
    if (!is_required_ && !begins_proxy_header(bytes)) {
        // Later: a link that nothing was consumed of does not give the same bytes again within this call.
        link_->pause(engine::Pause::held);
        timer_ = loop_.after(Duration::zero(), [this] { finish(std::optional<ProxyHeader>{}); });
        return 0;
    }
    const auto header = take_proxy_header(bytes);
    if (header && !*header) return 0;
    const size_t consumed = header ? (*header)->bytes : 0;
    finish(header);
    return consumed;
}

void HeaderReader::on_ended(engine::LinkEnd, std::string_view detail) {
    finish(Error{ErrorCode::unreachable, "PROXY protocol: no header: " + std::string(detail)});
}

void HeaderReader::finish(const Result<std::optional<ProxyHeader>>& header) {
    timer_.reset();
    const OnDone on_done = std::exchange(on_done_, {});
    if (on_done) on_done(*this, header);
}

}  // namespace holdfast::loop
