#include "health/make_prober.h"

#include <cstdlib>

#include "health/mysql_prober.h"
#include "health/postgres_prober.h"

namespace holdfast::health {

std::unique_ptr<Prober> make_prober(const config::Cluster& cluster, EventLoop& loop) {
    switch (cluster.protocol) {
        case config::Protocol::postgres: return std::make_unique<PostgresProber>(cluster, loop);
        case config::Protocol::mysql: return std::make_unique<MysqlProber>(cluster, loop);
    }
    std::abort();
}

}  // namespace holdfast::health
