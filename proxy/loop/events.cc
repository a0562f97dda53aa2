#include "proxy/loop/events.h"

#include <algorithm>
#include <netdb.h>

#include "proxy/loop/address.h"
#include "proxy/loop/timer.h"

namespace holdfast::loop {
namespace {

struct PollState : uv_poll_t {
    int events = 0;
    std::function<void()> on_ready;
};
using PollHandle = UvPtr<PollState, uv_poll_t>;

void on_poll(uv_poll_t* handle, int status, int) {
    auto* state = static_cast<PollState*>(handle);
    Loop::of(handle->loop).tick();
    // A broken connection is an event like others here: whoever watches finds the error where it reads. libuv
    // has stopped watching because of it, and the promise is to tell for as long as it lasts.
    if (status < 0) uv_poll_start(handle, state->events, on_poll);
    state->on_ready();
}

/// A name look-up on another thread. It outlives its watch when libuv can't call it back any more.
struct LookUp : uv_getaddrinfo_t {
    std::string host;
    std::function<void(Result<std::vector<std::string>>)> on_done;  // empty: nobody waits
};

class LookUpWatch final : public health::Watch {
public:
    explicit LookUpWatch(LookUp* look_up) : look_up_(look_up) { look_up_->data = this; }
    ~LookUpWatch() override {
        if (look_up_ == nullptr) return;
        look_up_->on_done = nullptr;
        look_up_->data = nullptr;
        uv_cancel(reinterpret_cast<uv_req_t*>(static_cast<uv_getaddrinfo_t*>(look_up_)));
    }
    void forget() { look_up_ = nullptr; }

private:
    LookUp* look_up_;
};

Result<std::vector<std::string>> numeric_texts(const std::string& host, int status, const addrinfo* list) {
    if (status != 0) {
        return Error{ErrorCode::not_found, "can't resolve " + host + ": " + uv_strerror(status)};
    }
    std::vector<std::string> texts;
    for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
        std::string text = host_text(at->ai_addr, at->ai_addrlen);
        if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(std::move(text));
    }
    if (texts.empty()) return Error{ErrorCode::not_found, "can't resolve " + host + ": it has no address"};
    return texts;
}

void on_resolved(uv_getaddrinfo_t* request, int status, addrinfo* list) {
    const std::unique_ptr<LookUp> look_up{static_cast<LookUp*>(request)};
    Loop::of(request->loop).tick();
    if (look_up->data != nullptr) static_cast<LookUpWatch*>(look_up->data)->forget();
    auto texts = look_up->on_done ? numeric_texts(look_up->host, status, list)
                                  : Result<std::vector<std::string>>{std::vector<std::string>{}};
    uv_freeaddrinfo(list);
    if (look_up->on_done) look_up->on_done(std::move(texts));
}

std::unique_ptr<health::Watch> held(TimerHandle timer) {
    return std::make_unique<Held<health::Watch, TimerHandle>>(std::move(timer));
}

}  // namespace

std::unique_ptr<health::Watch> Loop::Events::after(Duration delay, std::function<void()> on_due) {
    return held(start_timer(loop_, delay, std::move(on_due)));
}

std::unique_ptr<health::Watch> Loop::Events::watch(int descriptor, health::Readiness readiness,
                                                   std::function<void()> on_ready) {
    auto state = std::make_unique<PollState>();
    if (uv_poll_init(loop_.uv(), state.get(), descriptor) != 0) {
        // Not a descriptor that can be watched: whoever asked learns why when it uses it.
        return held(start_timer(loop_, Duration::zero(), std::move(on_ready)));
    }
    PollHandle handle{state.release()};
    switch (readiness) {
        case health::Readiness::readable: handle->events = UV_READABLE; break;
        case health::Readiness::writable: handle->events = UV_WRITABLE; break;
        case health::Readiness::readable_or_writable: handle->events = UV_READABLE | UV_WRITABLE; break;
    }
    handle->on_ready = std::move(on_ready);
    uv_poll_start(handle.get(), handle->events, on_poll);
    return std::make_unique<Held<health::Watch, PollHandle>>(std::move(handle));
}

std::unique_ptr<health::Watch> Loop::Events::resolve(
    const std::string& host, std::function<void(Result<std::vector<std::string>>)> on_done) {
    using Texts = Result<std::vector<std::string>>;
    const auto answer_later = [&](Texts texts) {
        return held(start_timer(
            loop_, Duration::zero(),
            [texts = std::move(texts), done = std::move(on_done)]() mutable { done(std::move(texts)); }));
    };
    if (const auto numeric = numeric_address(host, 0)) {
        return answer_later(std::vector<std::string>{host_text(numeric->get(), numeric->size)});
    }
    auto look_up = std::make_unique<LookUp>();
    look_up->host = host;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    const int error = uv_getaddrinfo(loop_.uv(), look_up.get(), on_resolved, host.c_str(), nullptr, &hints);
    if (error != 0) return answer_later(numeric_texts(host, error, nullptr));
    look_up->on_done = std::move(on_done);
    return std::make_unique<LookUpWatch>(look_up.release());
}

}  // namespace holdfast::loop
