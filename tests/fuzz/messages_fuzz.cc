#include <cstdlib>

#include "protocol/base/limits.h"
#include "protocol/postgres/md5.h"
#include "protocol/postgres/messages.h"
#include "protocol/postgres/scram.h"
#include "protocol/postgres/startup.h"

/// Every parser of the login's messages meets the same bytes, and what one has read is written and read
/// again.
using namespace holdfast;
using namespace holdfast::postgres;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

void check_framing(Bytes in) {
    constexpr uint32_t body_bytes_max = 1'000;
    const auto message = take_message(in, body_bytes_max);
    if (!message || !*message) return;
    require((*message)->body.size() <= body_bytes_max && (*message)->total_bytes() <= in.size());
    ByteBuffer again;
    append_message(again, (*message)->type, (*message)->body);
    require(as_text(again) == as_text(in.first((*message)->total_bytes())));
}

void check_error_fields(Bytes in) {
    const auto fields = parse_error_fields(in);
    if (!fields) return;
    ByteBuffer again;
    append_error(again, fields->severity, fields->sqlstate, fields->message, fields->detail, fields->hint);
    const auto reread = parse_error_fields(Bytes(again).subspan(message_header_bytes));
    require(reread.ok() && reread->severity == fields->severity && reread->sqlstate == fields->sqlstate &&
            reread->message == fields->message && reread->detail == fields->detail &&
            reread->hint == fields->hint);
}

void check_startup(Bytes in) {
    if (const auto parameters = parse_startup_parameters(in)) {
        ByteBuffer again;
        append_startup(again, 0, "", "", *parameters);
        require(as_text(again).substr(8) == as_text(in));
    }
    if (const auto packet = take_opening_packet(in); packet && *packet) {
        require((*packet)->total_bytes() <= in.size());
        if (const auto request = read_startup((*packet)->code, (*packet)->rest)) {
            require(!request->startup.user.empty() && !request->startup.database.empty());
        }
    }
}

void check_secrets(Bytes in) {
    if (const auto verifier = parse_scram_verifier(as_text(in))) {
        require(verifier->iterations > 0 && verifier->iterations <= limits::scram_iterations_max);
        const auto reread = parse_scram_verifier(format_scram_verifier(*verifier));
        require(reread.ok() && reread->salt == verifier->salt && reread->stored_key == verifier->stored_key);
    }
    if (const auto decoded = base64_decode(as_text(in))) require(base64_encode(*decoded) == as_text(in));
    require(*base64_decode(base64_encode(in)) == ByteBuffer(in.begin(), in.end()));
    (void)is_md5_hash(as_text(in));
    (void)parse_boolean(as_text(in));
    if (const auto parameter = parse_parameter_status(in)) {
        ByteBuffer again;
        append_parameter_status(again, parameter->first, parameter->second);
        require(as_text(again).substr(message_header_bytes) == as_text(in));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const Bytes in(reinterpret_cast<const std::byte*>(data), size);
    check_framing(in);
    check_error_fields(in);
    check_startup(in);
    check_secrets(in);
    return 0;
}
