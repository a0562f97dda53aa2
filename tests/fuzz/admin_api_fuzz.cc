#include <cstdlib>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "proxy/admin/api.h"
#include "proxy/admin/gzip.h"

/// Requests to the admin address as libmicrohttpd hands them over. The first byte chooses how the request
/// came in; then come method, path, query argument, Authorization, Origin and Host, a line each, and the
/// body. Each is answered once, in JSON, and nothing changes without the token.
using namespace holdfast;
using namespace holdfast::admin;
using nlohmann::json;

namespace {

constexpr std::string_view wanted_token = "s3cret";

void require(bool holds) {
    if (!holds) std::abort();
}

class CountingControl final : public Control {
public:
    json status() const override { return json::object(); }
    json sessions(const std::string& cluster) const override { return {{"of", cluster}}; }
    json events(uint64_t after) const override { return {{"after", after}}; }
    json config() const override { return json::object(); }
    void diff(OnOutcome on_done) override { on_done({}); }
    void reload(const Actor& actor, OnOutcome on_done) override { on_done(changed(actor, "")); }
    void set_duty(const std::string& cluster, const std::string& server, health::Duty, bool,
                  const Actor& actor, OnOutcome on_done) override {
        on_done(changed(actor, cluster + server));
    }
    Outcome pause(const std::string& cluster, std::chrono::milliseconds limit, const Actor& actor) override {
        require(limit.count() >= 0);
        return changed(actor, cluster);
    }
    Outcome resume(const std::string& cluster, const Actor& actor) override {
        return changed(actor, cluster);
    }
    Outcome end_session(uint64_t, const Actor& actor) override { return changed(actor, ""); }
    int changes = 0;

private:
    /// As the program does, it names in its answer what it was asked for.
    Outcome changed(const Actor& actor, const std::string& what) {
        ++changes;
        return refusal(404, "no " + what, actor.reason);
    }
};

std::string take_line(std::string_view& text) {
    const size_t end = text.find('\n');
    const std::string line(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1) return 0;
    const uint8_t way = data[0];
    std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
    Request request;
    request.method = take_line(text);
    request.path = take_line(text);
    const std::string argument = take_line(text);
    const size_t equals = argument.find('=');
    if (equals != std::string::npos) request.query[argument.substr(0, equals)] = argument.substr(equals + 1);
    request.authorization = take_line(text);
    request.origin = take_line(text);
    request.host = take_line(text);
    request.body = text;
    request.is_local = (way & 1) != 0;
    request.peer = "10.0.0.1";
    const Secret token((way & 2) != 0 ? std::string(wanted_token) : std::string());
    (void)accepts_gzip(request.authorization);

    CountingControl control;
    int answers = 0;
    answer_api(request, token, control, [&](const Page& page) {
        ++answers;
        require(page.status >= 200 && page.status < 600);
        require(page.body.size() < 100'000 + 16 * size && json::parse(page.body, nullptr, false).is_object());
    });
    require(answers == 1 && control.changes <= 1);
    const bool has_token = !token.empty() && request.authorization == "Bearer " + std::string(wanted_token);
    if (!request.is_local && !has_token) require(control.changes == 0);
    if (request.method != "POST") require(control.changes == 0);
    return 0;
}
