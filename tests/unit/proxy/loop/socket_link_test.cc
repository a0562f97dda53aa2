#include <algorithm>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "harness.h"

namespace holdfast::loop::test {

TEST_CASE("link: carries bytes both ways, two runs in their order") {
    const auto loop = make_loop();
    Pair pair{*loop};
    pair.near.on_data = [&](Bytes bytes) {
        pair.near.link->write(as_bytes("re:"), bytes);
        return bytes.size();
    };
    pair.far.link->write(as_bytes("hello"));
    CHECK(run_until(*loop, [&] { return pair.far.received == "re:hello"; }));
    CHECK(pair.near.received == "hello");
    CHECK(pair.near.link->queued() == 0);
}

TEST_CASE("link: an idle one is small") {
    MESSAGE("sizeof(SocketLink) = " << sizeof(SocketLink) << ", with its handle "
                                    << sizeof(SocketLink) + sizeof(uv_poll_t));
    CHECK(sizeof(SocketLink) + sizeof(uv_poll_t) <= 320);
}

TEST_CASE("link: what the owner leaves comes again, before what follows, as one run") {
    const auto loop = make_loop();
    Bare bare{*loop};
    // Consumes whole lines only, as a codec consumes whole messages.
    bare.owner.on_data = [](Bytes bytes) {
        const auto newline = as_text(bytes).rfind('\n');
        return newline == std::string_view::npos ? 0 : newline + 1;
    };
    const std::string text = "one\ntwo two\n\nthree";
    for (const char c : text) {
        const int before = bare.owner.calls;
        bare.send({&c, 1});
        REQUIRE(run_until(*loop, [&] { return bare.owner.calls == before + 1; }));
    }
    CHECK(bare.owner.received == "one\ntwo two\n\n");
    CHECK(bare.owner.last_run == "three");
    bare.send("!\nrest");
    CHECK(run_until(*loop, [&] { return bare.owner.received == "one\ntwo two\n\nthree!\n"; }));
}

TEST_CASE("link: a long remainder grows whole") {
    const auto loop = make_loop();
    Bare bare{*loop};
    const std::string text = pattern(300'000);
    bare.owner.on_data = [&](Bytes bytes) { return bytes.size() < text.size() ? 0 : bytes.size(); };
    size_t sent = 0;
    CHECK(run_until(*loop, [&] {
        const ssize_t taken =
            ::send(bare.peer.get(), text.data() + sent, std::min<size_t>(text.size() - sent, 1'000), 0);
        if (taken > 0) sent += static_cast<size_t>(taken);
        return !bare.owner.received.empty();
    }));
    CHECK(bare.owner.received == text);
}

TEST_CASE("link: a slow reader's bytes are queued, told of at the low mark, and arrive whole") {
    const auto loop = make_loop();
    Bare bare{*loop};
    const std::string text = pattern(3'000'000);
    bare.owner.link->write(as_bytes(text));
    bare.owner.link->write(as_bytes("tail"), as_bytes("end"));
    CHECK(bare.owner.link->queued() > limits::write_queue_high_bytes);
    settle(*loop, 5ms);
    CHECK(bare.owner.writable == 0);
    std::string got;
    size_t queued_when_told = 0;
    bare.owner.when_writable = [&] { queued_when_told = bare.owner.link->queued(); };
    CHECK(run_until(*loop, [&] {
        got += bare.receive();
        return got.size() == text.size() + 7;
    }));
    CHECK(got == text + "tailend");
    CHECK(bare.owner.writable == 1);
    CHECK(queued_when_told < limits::write_queue_low_bytes);
    CHECK(bare.owner.link->queued() == 0);
}

TEST_CASE("link: two runs are kept in order when the socket takes a part of them") {
    const auto loop = make_loop();
    Bare bare{*loop};
    const std::string head = pattern(500'000);
    const std::string body = pattern(700'000);
    bare.owner.link->write(as_bytes(head), as_bytes(body));
    std::string got;
    CHECK(run_until(*loop, [&] {
        got += bare.receive();
        return got.size() == head.size() + body.size();
    }));
    CHECK(got == head + body);
}

TEST_CASE("pause: gives nothing, and after the last reason is gone all") {
    const auto loop = make_loop();
    Bare bare{*loop};
    bare.owner.link->pause(engine::Pause::held);
    bare.owner.link->pause(engine::Pause::in_turn);
    bare.send("first");
    settle(*loop, 5ms);
    bare.send(" second");
    settle(*loop, 5ms);
    bare.owner.link->resume(engine::Pause::held);
    settle(*loop, 5ms);
    CHECK(bare.owner.calls == 0);
    CHECK(bare.owner.link->paused());
    bare.owner.link->resume(engine::Pause::in_turn);
    CHECK(bare.owner.calls == 0);  // never from inside the call
    CHECK(run_until(*loop, [&] { return bare.owner.received == "first second"; }));
}

TEST_CASE("pause: what was left unconsumed is given again alone, without new bytes") {
    const auto loop = make_loop();
    Bare bare{*loop};
    bare.owner.on_data = [&](Bytes) {
        bare.owner.link->pause(engine::Pause::in_turn);
        return size_t{3};
    };
    bare.send("onetwo");
    REQUIRE(run_until(*loop, [&] { return bare.owner.calls == 1; }));
    settle(*loop, 5ms);
    CHECK(bare.owner.calls == 1);
    bare.owner.link->resume(engine::Pause::in_turn);
    CHECK(run_until(*loop, [&] { return bare.owner.calls == 2; }));
    CHECK(bare.owner.last_run == "two");
    // Paused and resumed in one call is like never paused, but what was left is due again.
    bare.owner.on_data = [&](Bytes bytes) -> size_t {
        if (bare.owner.calls > 3) return bytes.size();
        bare.owner.link->pause(engine::Pause::in_turn);
        bare.owner.link->resume(engine::Pause::in_turn);
        return 1;
    };
    bare.owner.link->resume(engine::Pause::in_turn);
    bare.send("ab");
    CHECK(run_until(*loop, [&] { return bare.owner.received == "onetwoab"; }));
}

TEST_CASE("pause: a peer that leaves is told at once") {
    const auto loop = make_loop();
    Bare bare{*loop};
    bare.owner.link->pause(engine::Pause::held);
    bare.peer.reset();
    CHECK(run_until(*loop, [&] { return bare.owner.ended == 1; }));
    CHECK(bare.owner.end == engine::LinkEnd::closed_by_peer);
}

TEST_CASE("pause: a peer that leaves after sending is told when its bytes have been given") {
    const auto loop = make_loop();
    for (const bool seen_before : {false, true}) {
        CAPTURE(seen_before);
        Bare bare{*loop};
        bare.owner.link->pause(engine::Pause::held);
        bare.send("last words");
        if (seen_before) settle(*loop, 5ms);
        bare.peer.reset();
        settle(*loop, 10ms);
        CHECK(bare.owner.ended == 0);
        bare.owner.link->resume(engine::Pause::held);
        CHECK(run_until(*loop, [&] { return bare.owner.ended == 1; }));
        CHECK(bare.owner.received == "last words");
        CHECK(bare.owner.end == engine::LinkEnd::closed_by_peer);
    }
}

TEST_CASE("pause: a peer that has left and whose bytes wait does not keep the loop busy") {
    const auto loop = make_loop();
    Bare bare{*loop};
    bare.owner.link->pause(engine::Pause::held);
    bare.send("last words");
    bare.peer.reset();
    settle(*loop, 5ms);
    int turns = 0;
    bool over = false;
    const auto timer = loop->after(30ms, [&] { over = true; });
    while (!over) {
        loop->turn();
        ++turns;
    }
    CHECK(turns < 5);
}

TEST_CASE("pause: a reset is told at once, or after the bytes that came before it") {
    const auto loop = make_loop();
    for (const bool bytes_before : {false, true}) {
        CAPTURE(bytes_before);
        Pair pair{*loop};
        pair.near.link->pause(engine::Pause::held);
        if (bytes_before) pair.far.link->write(as_bytes("before"));
        settle(*loop, 5ms);
        const linger at_once{1, 0};
        auto* far = static_cast<SocketLink*>(pair.far.link.get());
        int number = -1;
        uv_fileno(reinterpret_cast<uv_handle_t*>(far->handle()), &number);
        REQUIRE(::setsockopt(number, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
        pair.far.link.reset();
        settle(*loop, 10ms);
        CHECK(pair.near.ended == (bytes_before ? 0 : 1));
        pair.near.link->resume(engine::Pause::held);
        CHECK(run_until(*loop, [&] { return pair.near.ended == 1; }));
        CHECK(pair.near.end == engine::LinkEnd::reset);
        CHECK(pair.near.detail == "Connection reset by peer");
        CHECK(pair.near.received == (bytes_before ? "before" : ""));
    }
}

TEST_CASE("link: the end comes once, after all bytes, and writing to an ended link is harmless") {
    const auto loop = make_loop();
    Bare bare{*loop};
    const std::string text = pattern(100'000);
    bare.send(text);
    bare.peer.reset();
    CHECK(run_until(*loop, [&] { return bare.owner.ended == 1; }));
    CHECK(bare.owner.received == text);
    bare.owner.link->write(as_bytes("nobody"));
    bare.owner.link->pause(engine::Pause::held);
    bare.owner.link->resume(engine::Pause::held);
    settle(*loop, 5ms);
    CHECK(bare.owner.ended == 1);
    CHECK(bare.owner.link->queued() == 0);
}

TEST_CASE("link: a failed write is told from the loop, after the peer's last bytes") {
    const auto loop = make_loop();
    Bare bare{*loop};
    bare.send("fatal: going away");
    bare.peer.reset();
    // The turn that would read has not come; the write fails with EPIPE.
    bare.owner.link->write(as_bytes("query"));
    CHECK(bare.owner.ended == 0);
    CHECK(bare.owner.calls == 0);
    CHECK(run_until(*loop, [&] { return bare.owner.ended == 1; }));
    CHECK(bare.owner.received == "fatal: going away");
    CHECK(bare.owner.end == engine::LinkEnd::reset);
    CHECK(bare.owner.detail == "Broken pipe");
}

TEST_CASE("link: may be destroyed in each of its callbacks, and nothing is called after") {
    const auto loop = make_loop();
    SUBCASE("on_bytes") {
        Bare bare{*loop};
        bare.owner.on_data = [&](Bytes) {
            bare.owner.link.reset();
            return size_t{1};
        };
        bare.send("bytes");
        CHECK(run_until(*loop, [&] { return bare.owner.calls == 1; }));
        settle(*loop, 5ms);
        CHECK(bare.owner.ended == 0);
    }
    SUBCASE("on_bytes, with a remainder") {
        Bare bare{*loop};
        bare.owner.on_data = [&](Bytes) {
            if (bare.owner.calls == 2) bare.owner.link.reset();
            return size_t{0};
        };
        bare.send("bytes");
        REQUIRE(run_until(*loop, [&] { return bare.owner.calls == 1; }));
        bare.send("more");
        CHECK(run_until(*loop, [&] { return bare.owner.calls == 2; }));
        CHECK(bare.owner.last_run == "bytesmore");
    }
    SUBCASE("on_bytes, given again after a pause") {
        Bare bare{*loop};
        bare.owner.on_data = [&](Bytes) {
            if (bare.owner.calls == 2) bare.owner.link.reset();
            return size_t{0};
        };
        bare.send("bytes");
        REQUIRE(run_until(*loop, [&] { return bare.owner.calls == 1; }));
        bare.owner.link->pause(engine::Pause::held);
        bare.owner.link->resume(engine::Pause::held);
        CHECK(run_until(*loop, [&] { return bare.owner.calls == 2; }));
    }
    SUBCASE("on_bytes, from another link's call") {
        Bare one{*loop};
        Bare two{*loop};
        one.owner.on_data = [&](Bytes bytes) {
            two.owner.link.reset();
            return bytes.size();
        };
        two.owner.on_data = [&](Bytes bytes) {
            one.owner.link.reset();
            return bytes.size();
        };
        one.send("x");
        two.send("x");
        CHECK(run_until(*loop, [&] { return one.owner.calls + two.owner.calls == 1; }));
        settle(*loop, 5ms);
        CHECK(one.owner.calls + two.owner.calls == 1);
    }
    SUBCASE("on_writable") {
        Bare bare{*loop};
        bare.owner.link->write(as_bytes(pattern(2'000'000)));
        bare.owner.when_writable = [&] { bare.owner.link.reset(); };
        CHECK(run_until(*loop, [&] {
            (void)bare.receive();
            return bare.owner.writable == 1;
        }));
    }
    SUBCASE("on_ended") {
        Bare bare{*loop};
        bare.owner.when_ended = [&] { bare.owner.link.reset(); };
        bare.peer.reset();
        CHECK(run_until(*loop, [&] { return bare.owner.ended == 1; }));
    }
    SUBCASE("on_ended after a failed write, woken with a remainder") {
        Bare bare{*loop};
        bare.owner.on_data = [](Bytes) { return size_t{0}; };
        bare.send("bytes");
        REQUIRE(run_until(*loop, [&] { return bare.owner.calls == 1; }));
        bare.peer.reset();
        bare.owner.link->write(as_bytes("query"));
        bare.owner.when_ended = [&] { bare.owner.link.reset(); };
        CHECK(run_until(*loop, [&] { return bare.owner.ended == 1; }));
    }
    SUBCASE("by itself, with a wake-up under way") {
        Bare bare{*loop};
        bare.peer.reset();
        bare.owner.link->write(as_bytes("query"));
        bare.owner.link.reset();
        settle(*loop, 5ms);
        CHECK(bare.owner.ended == 0);
    }
}

TEST_CASE("link: destroyed, it still sends what the socket takes") {
    const auto loop = make_loop();
    Bare bare{*loop};
    const std::string text = pattern(300'000);
    bare.owner.link->write(as_bytes(text));
    std::string got = bare.receive();  // room for the rest
    bare.owner.link.reset();
    for (std::string more = bare.receive(); !more.empty(); more = bare.receive()) got += more;
    CHECK(got == text);
}

TEST_CASE("close_gently: a link without owner sends its queue, ends its side and waits for the peer's") {
    const auto loop = make_loop();
    Bare bare{*loop};
    const std::string text = pattern(2'000'000);
    bare.owner.link->write(as_bytes(text));
    engine::Link::close_gently(std::move(bare.owner.link));
    std::string got;
    CHECK(run_until(*loop, [&] {
        got += bare.receive();
        return got.size() == text.size();
    }));
    CHECK(got == text);
    char one;
    CHECK(run_until(*loop, [&] { return ::recv(bare.peer.get(), &one, 1, 0) == 0; }));
    CHECK(bare.owner.calls + bare.owner.ended + bare.owner.writable == 0);
}

TEST_CASE("close_gently: unread bytes of the peer do not cost it the last message") {
    const auto loop = make_loop();
    Pair pair{*loop};
    pair.near.on_data = [&](Bytes bytes) {
        pair.near.link->write(as_bytes("fatal: too many connections"));
        engine::Link::close_gently(std::move(pair.near.link));
        return bytes.size() / 2;
    };
    pair.far.link->write(as_bytes(pattern(200'000)));
    CHECK(run_until(*loop, [&] { return pair.far.ended == 1; }));
    CHECK(pair.far.received == "fatal: too many connections");
    CHECK(pair.far.end == engine::LinkEnd::closed_by_peer);
}

TEST_CASE("close_gently: ended links go at once, others with the loop") {
    const auto loop = make_loop();
    Bare ended{*loop};
    ended.owner.when_ended = [&] { engine::Link::close_gently(std::move(ended.owner.link)); };
    ended.peer.reset();
    CHECK(run_until(*loop, [&] { return ended.owner.ended == 1; }));
    Bare stuck{*loop};
    stuck.owner.link->write(as_bytes(pattern(2'000'000)));
    engine::Link::close_gently(std::move(stuck.owner.link));
    settle(*loop, 5ms);  // the loop's end frees it; the leak checker looks
}

namespace {

int descriptor_of(const engine::Link& link) {
    int number = -1;
    uv_fileno(reinterpret_cast<uv_handle_t*>(static_cast<const SocketLink&>(link).handle()), &number);
    return number;
}

int option(const engine::Link& link, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    REQUIRE(::getsockopt(descriptor_of(link), level, name, &value, &size) == 0);
    return value;
}

}  // namespace

TEST_CASE("link: both kinds of connection send at once and probe a silent peer") {
    const auto loop = make_loop();
    Pair pair{*loop};
    for (const auto* owner : {&pair.near, &pair.far}) {
        CHECK(option(*owner->link, IPPROTO_TCP, TCP_NODELAY) == 1);
        CHECK(option(*owner->link, SOL_SOCKET, SO_KEEPALIVE) == 1);
        CHECK(option(*owner->link, IPPROTO_TCP, TCP_KEEPIDLE) == 30);
        CHECK(option(*owner->link, IPPROTO_TCP, TCP_KEEPINTVL) == 5);
        CHECK(option(*owner->link, IPPROTO_TCP, TCP_KEEPCNT) == 3);
    }
}

TEST_CASE("silence: a peer that acknowledges nothing is given up") {
    const auto loop = make_loop();
    Pair pair{*loop};
    static_cast<SocketLink&>(*pair.far.link).watch_silence(300ms);
    // A filter that drops every packet before TCP sees it: a peer that lost its power.
    sock_filter drop_all[] = {{BPF_RET | BPF_K, 0, 0, 0}};
    const sock_fprog program{1, drop_all};
    REQUIRE(::setsockopt(descriptor_of(*pair.near.link), SOL_SOCKET, SO_ATTACH_FILTER, &program,
                         sizeof program) == 0);
    pair.far.link->write(as_bytes("anyone?"));
    const TimePoint sent = loop->now();
    CHECK(run_until(*loop, [&] { return pair.far.ended == 1; }));
    CHECK(pair.far.end == engine::LinkEnd::reset);
    CHECK(pair.far.detail == "Connection timed out");
    CHECK(loop->now() - sent >= 200ms);
    CHECK(loop->now() - sent < 6s);
}

TEST_CASE("silence: a peer that lives and does not read, or has nothing to say, is kept") {
    const auto loop = make_loop();
    Pair pair{*loop};
    static_cast<SocketLink&>(*pair.far.link).watch_silence(100ms);
    settle(*loop, 300ms);
    CHECK(pair.far.ended == 0);
    // Its window closes: the kernel's TCP_USER_TIMEOUT would end this connection.
    pair.near.link->pause(engine::Pause::peer_is_slow);
    const std::string text = pattern(12'000'000);
    pair.far.link->write(as_bytes(text));
    settle(*loop, 1s);
    CHECK(pair.far.ended == 0);
    CHECK(pair.far.link->queued() > 0);
    pair.near.link->resume(engine::Pause::peer_is_slow);
    CHECK(run_until(*loop, [&] { return pair.near.received.size() == text.size(); }));
    CHECK(pair.near.received == text);
}

}  // namespace holdfast::loop::test
