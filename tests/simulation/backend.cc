#include "tests/simulation/backend.h"

#include "tests/simulation/mysql_backend.h"
#include "tests/simulation/postgres_backend.h"

namespace holdfast::simulation {

using namespace std::chrono_literals;

void Backend::begin() {
    endpoint_->on_change = [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->on_change();
    };
}

void Backend::die() {
    is_alive_ = false;
    endpoint_->on_change = {};
    endpoint_->shut();
}

std::function<void()> Backend::mine(std::function<void()> run) {
    return [weak = weak_from_this(), run = std::move(run)] {
        if (const auto self = weak.lock(); self && self->is_alive_) run();
    };
}

Duration Backend::service_time() {
    Random& random = server_.site().network.random();
    const uint64_t dice = random.below(100);
    if (dice < 80) return random.between(Duration(20us), Duration(400us));
    if (dice < 97) return random.between(Duration(1ms), Duration(10ms));
    return random.between(Duration(20ms), Duration(300ms));
}

void Backend::send(ByteBuffer& out, size_t& ready) {
    if (ready == 0) return;
    const size_t sent = endpoint_->send(Bytes(out).first(ready));
    out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(sent));
    ready -= sent;
}

std::shared_ptr<Backend> make_backend(Server& server, uint32_t process_id,
                                      std::shared_ptr<Endpoint> endpoint) {
    if (server.site().speaks_mysql)
        return std::make_shared<MysqlBackend>(server, process_id, std::move(endpoint));
    return std::make_shared<PostgresBackend>(server, process_id, std::move(endpoint));
}

}  // namespace holdfast::simulation
