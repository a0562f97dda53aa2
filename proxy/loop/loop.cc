#include "proxy/loop/loop.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <openssl/rand.h>

#include "proxy/loop/address.h"
#include "proxy/loop/connector.h"
#include "proxy/loop/events.h"
#include "proxy/loop/socket_link.h"
#include "proxy/loop/timer.h"
#include "proxy/loop/tls_context.h"
#include "proxy/loop/uv_ptr.h"

namespace holdfast::loop {
namespace {

/// Tasks that tasks defer run in the same turn up to this depth, then sockets have their turn.
constexpr int deferred_rounds_max = 8;
/// Memory that one large TLS write leaves behind for the next one.
constexpr size_t sealed_output_kept_max = 2 * limits::read_chunk_bytes;

struct Work : uv_work_t {
    std::function<void()> work;
    std::function<void()> done;
};

struct SignalState : uv_signal_t {
    std::function<void()> on_caught;
};

}  // namespace

Loop::Loop() : scratch_(limits::read_chunk_bytes), sealed_scratch_(limits::read_chunk_bytes) {}

Result<std::unique_ptr<Loop>> Loop::create() {
    // Name look-ups, which may block for seconds, share libuv's threads with password work: more than its
    // four, unless the operator says otherwise.
    ::setenv("UV_THREADPOOL_SIZE", "8", /*overwrite=*/0);
    // A peer that went away is told by the error of the call that wrote to it.
    std::signal(SIGPIPE, SIG_IGN);
    std::unique_ptr<Loop> loop{new Loop};
    if (const int error = uv_loop_init(&loop->uv_); error != 0) {
        loop->closing_ = true;
        return Error{ErrorCode::internal, std::string("can't make an event loop: ") + uv_strerror(error)};
    }
    loop->uv_.data = loop.get();
    uv_prepare_init(&loop->uv_, &loop->prepare_);
    uv_check_init(&loop->uv_, &loop->check_);
    uv_idle_init(&loop->uv_, &loop->idle_);
    uv_prepare_start(&loop->prepare_, [](uv_prepare_t* handle) {
        of(handle->loop).run_deferred();
        of(handle->loop).begin_to_wait();
    });
    uv_check_start(&loop->check_, [](uv_check_t* handle) { of(handle->loop).run_deferred(); });
    loop->events_ = std::make_unique<Events>(*loop);
    loop->client_tls_ = std::make_unique<ClientTlsContexts>();
    return loop;
}

Loop::~Loop() {
    if (uv_.data == nullptr) return;  // never became one
    closing_ = true;
    while (!finishing_.empty()) delete finishing_.back();
    deferred_.clear();
    for (auto* handle : {reinterpret_cast<uv_handle_t*>(&prepare_), reinterpret_cast<uv_handle_t*>(&check_),
                         reinterpret_cast<uv_handle_t*>(&idle_)}) {
        uv_close(handle, nullptr);
    }
    // Close callbacks and what is still on other threads come back here; nobody is told.
    uv_run(&uv_, UV_RUN_DEFAULT);
    if (uv_loop_close(&uv_) != 0) {
        std::fputs("an object of the event loop outlived it\n", stderr);
        std::abort();
    }
}

void Loop::run() {
    running_ = true;
    uv_run(&uv_, UV_RUN_DEFAULT);
    running_ = false;
}

void Loop::stop() {
    uv_stop(&uv_);
}

void Loop::turn() {
    running_ = true;
    single_turn_ = true;
    uv_run(&uv_, UV_RUN_ONCE);
    single_turn_ = false;
    running_ = false;
}

void Loop::tick() {
    now_ = TimePoint{Duration{static_cast<int64_t>(uv_hrtime())}};
    if (waiting_since_ == TimePoint{}) return;
    idle_time_ += now_ - waiting_since_;
    waiting_since_ = {};
}

/// The poll phase comes next, and whatever is called back from it takes the time first. libuv would measure
/// the same (UV_METRICS_IDLE_TIME) at the price of one more system call each turn.
void Loop::begin_to_wait() {
    waiting_since_ = TimePoint{Duration{static_cast<int64_t>(uv_hrtime())}};
}

TimePoint Loop::now() const {
    // Between two runs (at the start, in tests) nothing has taken the time for a while.
    if (!running_) return TimePoint{Duration{static_cast<int64_t>(uv_hrtime())}};
    return now_;
}

std::unique_ptr<engine::Timer> Loop::connect(
    const config::Endpoint& address, const config::Cluster& cluster, engine::LinkOwner& owner,
    std::function<void(Result<std::unique_ptr<engine::Link>>)> on_done) {
    return start_connecting(*this, address, cluster, owner, std::move(on_done));
}

std::unique_ptr<engine::Timer> Loop::after(Duration delay, std::function<void()> on_due) {
    return std::make_unique<Held<engine::Timer, TimerHandle>>(start_timer(*this, delay, std::move(on_due)));
}

void Loop::defer(std::function<void()> task) {
    deferred_.push_back(std::move(task));
}

void Loop::offload(std::function<void()> work, std::function<void()> done) {
    auto* job = new Work;
    job->work = std::move(work);
    job->done = std::move(done);
    const int error = uv_queue_work(
        &uv_, job, [](uv_work_t* request) { static_cast<Work*>(request)->work(); },
        [](uv_work_t* request, int) {
            const std::unique_ptr<Work> finished{static_cast<Work*>(request)};
            Loop& loop = of(request->loop);
            if (loop.closing_) return;
            loop.tick();
            finished->done();
        });
    if (error != 0) std::abort();  // only for a null callback
}

void Loop::random(std::byte* out, size_t size) {
    // Nonces and keys come from here: going on with guessable ones would be worse than ending.
    if (size > static_cast<size_t>(INT32_MAX) ||
        RAND_bytes(reinterpret_cast<unsigned char*>(out), static_cast<int>(size)) != 1) {
        std::fputs("the system's random numbers fail\n", stderr);
        std::abort();
    }
}

int64_t Loop::unix_seconds() const {
    return static_cast<int64_t>(std::time(nullptr));
}

health::EventLoop& Loop::events() {
    return *events_;
}

std::unique_ptr<health::Watch> Loop::on_signal(int signal, std::function<void()> on_caught) {
    using Handle = UvPtr<SignalState, uv_signal_t>;
    auto state = std::make_unique<SignalState>();
    if (uv_signal_init(&uv_, state.get()) != 0) std::abort();  // no pipe for signals: nothing can be served
    Handle handle{state.release()};
    handle->on_caught = std::move(on_caught);
    const int error = uv_signal_start(
        handle.get(),
        [](uv_signal_t* caught, int) {
            of(caught->loop).tick();
            static_cast<SignalState*>(caught)->on_caught();
        },
        signal);
    if (error != 0) std::abort();  // not a signal that can be caught
    return std::make_unique<Held<health::Watch, Handle>>(std::move(handle));
}

void Loop::run_deferred() {
    tick();
    // Tasks are something that happened: whoever runs single turns wants to know before the loop waits again.
    const bool had_some = !woken_.empty() || !deferred_.empty();
    for (int round = 0; round < deferred_rounds_max && (!woken_.empty() || !deferred_.empty()); ++round) {
        run_woken_links();
        deferred_running_.swap(deferred_);
        for (auto& task : deferred_running_) task();
        deferred_running_.clear();
    }
    if (sealed_output_.capacity() > sealed_output_kept_max) ByteBuffer().swap(sealed_output_);
    if (!woken_.empty() || !deferred_.empty() || (single_turn_ && had_some)) {
        uv_idle_start(&idle_, [](uv_idle_t*) {});
    } else {
        uv_idle_stop(&idle_);
    }
}

void Loop::run_woken_links() {
    // Those that wake while others run wait for the next round, or a link could keep the rest from running.
    const size_t count = woken_.size();
    for (size_t i = 0; i < count; ++i) {
        SocketLink* link = std::exchange(woken_[i], nullptr);
        if (link != nullptr) link->on_wake();
    }
    woken_.erase(woken_.begin(), woken_.begin() + static_cast<std::ptrdiff_t>(count));
    for (size_t i = 0; i < woken_.size(); ++i) {
        if (woken_[i] != nullptr) woken_[i]->set_wake_slot(static_cast<uint32_t>(i));
    }
}

uint32_t Loop::wake(SocketLink& link) {
    woken_.push_back(&link);
    return static_cast<uint32_t>(woken_.size() - 1);
}

void Loop::forget_wake(uint32_t slot) {
    woken_[slot] = nullptr;
}

void Loop::keep_finishing(SocketLink& link) {
    finishing_.push_back(&link);
}

void Loop::forget_finishing(SocketLink& link) {
    std::erase(finishing_, &link);
}

}  // namespace holdfast::loop
