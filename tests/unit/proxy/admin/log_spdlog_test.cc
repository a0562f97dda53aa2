#include "proxy/admin/log_spdlog.h"

#include <array>
#include <fcntl.h>
#include <sstream>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>
#include <spdlog/sinks/ostream_sink.h>

#include "proxy/admin/log_sink.h"

using namespace holdfast;
using namespace holdfast::admin;

namespace {

std::string describe_lost(uint64_t lines) {
    return "lost " + std::to_string(lines);
}

void write(DescriptorSink& sink, const std::string& text) {
    sink.log(spdlog::details::log_msg("holdfast", spdlog::level::info, text));
}

std::string read_all_there_is(int descriptor) {
    std::string all;
    std::array<char, 4096> chunk{};
    for (;;) {
        const ssize_t got = ::read(descriptor, chunk.data(), chunk.size());
        if (got <= 0) return all;
        all.append(chunk.data(), static_cast<size_t>(got));
    }
}

struct Pipe {
    explicit Pipe(bool as_socket) {
        if (as_socket) {
            REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        } else {
            REQUIRE(::pipe(ends) == 0);
        }
        ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }
    ~Pipe() {
        ::close(ends[0]);
        ::close(ends[1]);
    }
    int ends[2];
};

}  // namespace

TEST_CASE("log: writes from its threshold on, and the threshold can be moved") {
    std::ostringstream out;
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(out);
    sink->set_pattern("%v");
    SpdLog log(config::LogFormat::logfmt, LogLevel::warn, sink);
    CHECK_FALSE(log.enabled(LogLevel::info));
    CHECK(log.enabled(LogLevel::warn));
    log.info("quiet", {});
    log.error("loud", {{"text", "{} %s {x}"}});  // not a format
    CHECK(out.str().find("quiet") == std::string::npos);
    CHECK(out.str().find(R"(level=error event=loud text="{} %s {x}")") != std::string::npos);
    log.set_threshold(LogLevel::debug);
    log.debug("now", {});
    CHECK(out.str().find("level=debug event=now") != std::string::npos);
}

TEST_CASE("log: thresholds of the configuration are levels") {
    CHECK(to_level(config::LogThreshold::debug) == LogLevel::debug);
    CHECK(to_level(config::LogThreshold::info) == LogLevel::info);
    CHECK(to_level(config::LogThreshold::warn) == LogLevel::warn);
    CHECK(to_level(config::LogThreshold::error) == LogLevel::error);
}

TEST_CASE("log sink: a reader that stopped reading costs lines, counted, and never blocks") {
    for (const bool as_socket : {false, true}) {
        CAPTURE(as_socket);
        Pipe pipe(as_socket);
        DescriptorSink sink(pipe.ends[1], describe_lost);
        const std::string line(1'000, 'x');
        for (int i = 0; i < 2'000; ++i) write(sink, line);  // more than any pipe takes
        read_all_there_is(pipe.ends[0]);
        write(sink, "after");
        const std::string rest = read_all_there_is(pipe.ends[0]);
        CHECK(rest.substr(0, 5) == "lost ");
        CHECK(rest.substr(rest.size() - 7) == "\nafter\n");
        write(sink, "again");
        CHECK(read_all_there_is(pipe.ends[0]) == "again\n");
    }
}
