#include "proxy/app/samples.h"

#include <chrono>

#include "proxy/loop/byte_queue.h"
#include "proxy/loop/tls_stream.h"

namespace holdfast::app {

namespace {

admin::ProcessSample::Handshakes handshakes(const loop::TlsCounts::Side& side) {
    return {side.tls12, side.tls13, side.failed};
}

}  // namespace

void take_samples(const loop::Loop& loop, const admin::SpdLog& log, const Service& service,
                  admin::PrometheusMetrics& metrics) {
    admin::ProcessSample process;
    process.is_draining = service.engine().shutting_down();
    process.loop_idle_seconds = std::chrono::duration<double>(loop.idle_time()).count();
    process.buffer_bytes = static_cast<double>(loop::ByteQueue::allocated_bytes());
    process.log_lines = log.written();
    process.with_clients = handshakes(loop::tls_counts().with_clients);
    process.with_servers = handshakes(loop::tls_counts().with_servers);
    metrics.show(process);
    for (const auto& each : service.clusters()) {
        admin::ClusterSample sample;
        sample.now = loop.now();
        sample.is_paused = each.cluster->is_paused();
        sample.lag_limit = each.settings->routing.max_lag_time;
        sample.pool_limit = each.settings->pool.max_connections;
        sample.weights = each.cluster->weights();
        sample.readers = each.cluster->loads();
        metrics.cluster(*each.settings).show(sample);
    }
}

}  // namespace holdfast::app
