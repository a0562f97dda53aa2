#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include <uv.h>

#include "health/event_loop.h"
#include "protocol/base/limits.h"
#include "proxy/engine/world.h"

namespace holdfast::loop {

class SocketLink;
class ClientTlsContexts;

/// The one event loop: the world of sessions, and through events() that of health. Everything runs on the
/// thread that calls run(). Links, timers, watches, listeners and attempts made from it must be destroyed
/// before it; calls to `defer` and `offload` that have not come back yet are dropped with it.
class Loop final : public engine::World {
public:
    /// errors  internal: the system refuses a loop (descriptors, memory)
    static Result<std::unique_ptr<Loop>> create();
    ~Loop() override;
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// Runs until stop().
    void run();
    /// Ends run() after the turn under way.
    void stop();
    /// One turn: waits for something to happen, and calls back for all that did.
    void turn();

    /// The time at the last event; within one callback it stands still.
    TimePoint now() const override;
    std::unique_ptr<engine::Timer> connect(
        const config::Endpoint& address, const config::Cluster& cluster, engine::LinkOwner& owner,
        std::function<void(Result<std::unique_ptr<engine::Link>>)> on_done) override;
    std::unique_ptr<engine::Timer> after(Duration delay, std::function<void()> on_due) override;
    void defer(std::function<void()> task) override;
    /// Descriptors from this number on are not for clients or their servers: they are kept for the admin
    /// address and for health checks, which must work when clients have taken all others. The system gives
    /// the lowest number that is free.
    void set_descriptor_ceiling(int ceiling) { descriptor_ceiling_ = ceiling; }
    int descriptor_ceiling() const { return descriptor_ceiling_; }
    void offload(std::function<void()> work, std::function<void()> done) override;
    void random(std::byte* out, size_t size) override;
    int64_t unix_seconds() const override;

    /// How long it has waited for something to happen, all told: what is missing to the time that passed is
    /// work.
    Duration idle_time() const { return idle_time_; }

    /// The same loop as health sees it.
    health::EventLoop& events();
    /// Calls `on_caught` on the loop whenever the process receives `signal` (SIGTERM, SIGINT, SIGHUP, …).
    std::unique_ptr<health::Watch> on_signal(int signal, std::function<void()> on_caught);

    // What follows is for the parts of this folder.

    uv_loop_t* uv() { return &uv_; }
    static Loop& of(const uv_loop_t* uv) { return *static_cast<Loop*>(uv->data); }
    /// Takes the time; every callback from libuv begins with it.
    void tick();
    /// Where a read puts what the owner of a link has not seen yet. Its content lives until the next read, so
    /// reads happen in callbacks from libuv and at the end of a turn, never in calls from an owner.
    std::span<std::byte> scratch() { return scratch_; }
    /// The same for bytes that are still encrypted.
    std::span<std::byte> sealed_scratch() { return sealed_scratch_; }
    /// Collects what TLS wants sent; empty between two operations.
    ByteBuffer& sealed_output() { return sealed_output_; }
    ClientTlsContexts& client_tls() { return *client_tls_; }

    static constexpr uint32_t not_woken = 0xffffffff;
    /// Calls link.on_wake() at the end of this turn. Returns what forget_wake() needs when the link goes
    /// first.
    uint32_t wake(SocketLink& link);
    void forget_wake(uint32_t slot);
    /// A link without an owner, which lives on until it has sent its queue.
    void keep_finishing(SocketLink& link);
    void forget_finishing(SocketLink& link);

private:
    class Events;

    Loop();
    void run_deferred();
    void begin_to_wait();
    void run_woken_links();

    uv_loop_t uv_{};
    // Deferred tasks run after the poll phase (check) and once more before the next one (prepare), for those
    // that timers and close callbacks left; `idle_` keeps the poll from blocking while some are still there.
    uv_prepare_t prepare_{};
    uv_check_t check_{};
    uv_idle_t idle_{};
    bool running_ = false;
    bool single_turn_ = false;
    bool closing_ = false;
    TimePoint now_{};
    int descriptor_ceiling_ = std::numeric_limits<int>::max();
    TimePoint waiting_since_{};  // zero: not in the poll phase, or called back from it
    Duration idle_time_{};
    std::vector<std::function<void()>> deferred_;
    std::vector<std::function<void()>> deferred_running_;
    std::vector<SocketLink*> woken_;
    std::vector<SocketLink*> finishing_;
    std::vector<std::byte> scratch_;
    std::vector<std::byte> sealed_scratch_;
    ByteBuffer sealed_output_;
    std::unique_ptr<Events> events_;
    std::unique_ptr<ClientTlsContexts> client_tls_;
};

}  // namespace holdfast::loop
