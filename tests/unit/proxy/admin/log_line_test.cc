#include "proxy/admin/log_line.h"

#include <limits>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace holdfast;
using namespace holdfast::admin;
using config::LogFormat;

namespace {

// 2026-01-02T03:04:05.678Z
const std::chrono::system_clock::time_point then{std::chrono::milliseconds(1'767'323'045'678)};

std::string line(LogFormat format, std::initializer_list<LogField> fields, std::string_view event = "event") {
    std::string out = "left from before";
    format_log_line(format, then, LogLevel::warn, event, fields, out);
    return out;
}

/// The value as logfmt shows it.
std::string logfmt(std::string_view value) {
    const std::string whole = line(LogFormat::logfmt, {{"v", value}});
    return whole.substr(whole.find(" v=") + 3);
}

}  // namespace

TEST_CASE("log line: logfmt has time, level, event, then the fields in order") {
    CHECK(line(LogFormat::logfmt,
               {{"session", SessionId{8131}}, {"reason", "backend_lost"}, {"lived_ms", 5210}},
               "session_closed") ==
          "ts=2026-01-02T03:04:05.678Z level=warn event=session_closed session=8131 reason=backend_lost "
          "lived_ms=5210");
}

TEST_CASE("log line: JSON has the same, with numbers and truths as such") {
    CHECK(
        line(LogFormat::json,
             {{"session", SessionId{8131}}, {"ok", true}, {"delta", -7}, {"share", 0.25}, {"who", "a b"}}) ==
        R"({"ts":"2026-01-02T03:04:05.678Z","level":"warn","event":"event","session":8131,"ok":true,)"
        R"("delta":-7,"share":0.25,"who":"a b"})");
}

TEST_CASE("log line: the milliseconds of times before 1970 and of whole seconds are right") {
    std::string out;
    format_log_line(LogFormat::logfmt, std::chrono::system_clock::time_point{std::chrono::milliseconds(-1)},
                    LogLevel::info, "e", {}, out);
    CHECK(out == "ts=1969-12-31T23:59:59.999Z level=info event=e");
    format_log_line(LogFormat::logfmt, std::chrono::system_clock::time_point{std::chrono::seconds(0)},
                    LogLevel::error, "e", {}, out);
    CHECK(out == "ts=1970-01-01T00:00:00.000Z level=error event=e");
}

TEST_CASE("log line: logfmt quotes what would be read as something else") {
    CHECK(logfmt("plain-Value_1.2:3/[x]") == "plain-Value_1.2:3/[x]");
    CHECK(logfmt("") == R"("")");
    CHECK(logfmt("two words") == R"("two words")");
    CHECK(logfmt("a=b") == R"("a=b")");
    CHECK(logfmt(R"(say "hi")") == R"("say \"hi\"")");
    CHECK(logfmt(R"(C:\x)") == R"("C:\\x")");
}

TEST_CASE("log line: nothing from outside starts a line or drives a terminal") {
    CHECK(logfmt("a\nlevel=error event=forged") == R"("a\nlevel=error event=forged")");
    CHECK(logfmt("a\r\tb") == R"("a\r\tb")");
    CHECK(logfmt(std::string_view("a\0b", 3)) == R"("a\u0000b")");
    CHECK(logfmt("\x1b[31mred\x7f") == R"("\u001b[31mred\u007f")");
    CHECK(logfmt("\xC2\x9B"
                 "31m") == R"("\u009b31m")");  // CSI as one character
    CHECK(logfmt("a\xE2\x80\xA8"
                 "b") == R"("a\u2028b")");  // line separator
    CHECK(logfmt("\xE2\x80\xAE"
                 "gpj.exe") == R"("\u202egpj.exe")");  // right-to-left override
}

TEST_CASE("log line: text in UTF-8 stays, bytes that are not become U+FFFD") {
    CHECK(logfmt("Größe") == "\"Größe\"");
    CHECK(logfmt("\xF0\x9F\x98\x80") == "\"\xF0\x9F\x98\x80\"");
    const std::string bad = "\xEF\xBF\xBD";
    CHECK(logfmt("\xFF") == '"' + bad + '"');
    CHECK(logfmt("\xC3") == '"' + bad + '"');                                // cut off
    CHECK(logfmt("\xC3(") == '"' + bad + "(\"");                             // no continuation
    CHECK(logfmt("\xC0\xAF") == '"' + bad + bad + '"');                      // overlong '/'
    CHECK(logfmt("\xED\xA0\x80") == '"' + bad + bad + bad + '"');            // surrogate
    CHECK(logfmt("\xF4\x90\x80\x80") == '"' + bad + bad + bad + bad + '"');  // beyond Unicode
    CHECK(logfmt("\x80"
                 "a") == '"' + bad + "a\"");
}

TEST_CASE("log line: JSON is valid for every byte and gives the text back") {
    std::string every_byte;
    for (int c = 0; c < 0x80; ++c) every_byte += static_cast<char>(c);
    const auto good = nlohmann::json::parse(line(LogFormat::json, {{"v", every_byte}}));
    CHECK(good["v"] == every_byte);
    for (int c = 0x80; c < 0x100; ++c) every_byte += static_cast<char>(c);
    CHECK(nlohmann::json::accept(line(LogFormat::json, {{"v", every_byte}})));
    CHECK(nlohmann::json::parse(line(LogFormat::json, {{"v", std::numeric_limits<double>::infinity()}}))["v"]
              .is_null());
}

TEST_CASE("log line: extremes of numbers are written in full") {
    CHECK(line(LogFormat::logfmt, {{"a", std::numeric_limits<int64_t>::min()},
                                   {"b", std::numeric_limits<uint64_t>::max()},
                                   {"c", std::numeric_limits<double>::quiet_NaN()}})
              .find("a=-9223372036854775808 b=18446744073709551615 c=nan") != std::string::npos);
}

TEST_CASE("log line: a long value is cut on a character and says so") {
    std::string long_value;
    while (long_value.size() < 5'000) long_value += "ä ";
    for (const LogFormat format : {LogFormat::logfmt, LogFormat::json}) {
        const std::string whole = line(format, {{"v", long_value}, {"after", 1}});
        CHECK(whole.find("…\"") != std::string::npos);
        CHECK(whole.find("after") != std::string::npos);
        CHECK(whole.size() < 1'200);
    }
    CHECK(nlohmann::json::accept(line(LogFormat::json, {{"v", long_value}})));
    CHECK(nlohmann::json::accept(line(LogFormat::json, {{"v", std::string(5'000, '\x01')}})));
}

TEST_CASE("log line: a line fits into one write, whatever its fields") {
    const std::string value(2'000, 'x');
    const std::string quoted(2'000, '\x02');
    for (const LogFormat format : {LogFormat::logfmt, LogFormat::json}) {
        const std::string whole =
            line(format,
                 {{"a", value}, {"b", quoted}, {"c", value}, {"d", quoted}, {"e", value}, {"last", quoted}});
        CHECK(whole.size() + 1 <= log_line_bytes_max);
        CHECK(whole.find("truncated") != std::string::npos);
        CHECK(whole.find("last") == std::string::npos);
        if (format == LogFormat::json) CHECK(nlohmann::json::accept(whole));
    }
}
