#include "protocol/base/proxy_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "protocol/base/limits.h"

namespace holdfast {
namespace {

constexpr std::string_view v1_signature = "PROXY ";
constexpr std::string_view v2_signature{"\r\n\r\n\0\r\nQUIT\n", 12};
/// The longest line of version 1, its end included.
constexpr size_t v1_bytes_max = 107;
constexpr size_t v2_head_bytes = 16;
constexpr uint8_t family_inet = 1;
constexpr uint8_t family_inet6 = 2;
constexpr uint8_t family_unix = 3;
constexpr uint8_t transport_stream = 1;
constexpr size_t unix_addresses_bytes = 216;

Error malformed(std::string what) {
    return Error{ErrorCode::bad_value, "PROXY protocol: " + std::move(what)};
}

/// The part of `text` up to the next space, which is taken off with it.
std::string_view take_word(std::string_view& text) {
    const size_t end = text.find(' ');
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return word;
}

std::optional<uint16_t> parse_port(std::string_view text) {
    unsigned value = 0;
    const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_number = error == std::errc{} && at == text.data() + text.size() && !text.empty();
    if (!is_number || value > 65'535 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
    return static_cast<uint16_t>(value);
}

Result<std::optional<ProxyHeader>> take_v1(Bytes in) {
    const std::string_view text = as_text(in.first(std::min(in.size(), v1_bytes_max)));
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) {
        if (in.size() < v1_bytes_max) return std::optional<ProxyHeader>{};
        return malformed("a line of version 1 without an end");
    }
    if (text[end - 1] != '\r') return malformed("a line of version 1 that ends without CR");
    ProxyHeader header;
    header.bytes = end + 1;
    std::string_view line = text.substr(v1_signature.size(), end - 1 - v1_signature.size());
    const std::string_view protocol = take_word(line);
    if (protocol == "UNKNOWN") return std::optional(header);
    const uint8_t size = protocol == "TCP4" ? 4 : protocol == "TCP6" ? 16 : 0;
    if (size == 0) return malformed("version 1 with a protocol other than TCP4, TCP6 and UNKNOWN");
    const auto source = parse_ip(take_word(line));
    const auto destination = parse_ip(take_word(line));
    const auto source_port = parse_port(take_word(line));
    const bool has_end = line.find(' ') == std::string_view::npos;
    const auto destination_port = parse_port(line);
    if (!source || !destination || source->size != size || destination->size != size || !source_port ||
        !destination_port || !has_end) {
        return malformed("version 1 without two addresses and two ports");
    }
    header.source = *source;
    header.source.port = *source_port;
    header.destination = *destination;
    header.destination.port = *destination_port;
    header.source = unmapped(header.source);
    header.destination = unmapped(header.destination);
    return std::optional(header);
}

uint16_t load_be16(const std::byte* at) {
    return static_cast<uint16_t>(std::to_integer<unsigned>(at[0]) << 8 | std::to_integer<unsigned>(at[1]));
}

IpAddress read_address(Bytes ip, const std::byte* port) {
    IpAddress address;
    address.size = static_cast<uint8_t>(ip.size());
    std::copy(ip.begin(), ip.end(), address.bytes.begin());
    address.port = load_be16(port);
    return unmapped(address);
}

Result<std::optional<ProxyHeader>> take_v2(Bytes in) {
    if (in.size() < v2_head_bytes) return std::optional<ProxyHeader>{};
    const auto version_command = std::to_integer<uint8_t>(in[12]);
    const auto family_transport = std::to_integer<uint8_t>(in[13]);
    const size_t length = load_be16(in.data() + 14);
    if (version_command >> 4 != 2) return malformed("an unknown version behind the signature of version 2");
    const unsigned command = version_command & 0xf;
    if (command > 1) return malformed("an unknown command of version 2");
    if (length > limits::proxy_header_bytes_max - v2_head_bytes) {
        return Error{ErrorCode::limit_exceeded, "PROXY protocol: a header of " + std::to_string(length) +
                                                    " bytes is longer than is taken here"};
    }
    const unsigned family = family_transport >> 4;
    const unsigned transport = family_transport & 0xf;
    const bool tells = command == 1 && family_transport != 0;
    size_t needed = 0;
    if (tells) {
        if (family > family_unix || family == 0) return malformed("an unknown address family");
        if (transport != transport_stream) return malformed("an address that is not of a stream");
        needed = family == family_inet ? 12 : family == family_inet6 ? 36 : unix_addresses_bytes;
    }
    if (length < needed) return malformed("addresses longer than the header");
    ProxyHeader header;
    header.bytes = v2_head_bytes + length;
    if (in.size() < header.bytes) return std::optional<ProxyHeader>{};
    if (tells && family != family_unix) {
        const size_t size = family == family_inet ? 4 : 16;
        const Bytes body = in.subspan(v2_head_bytes);
        header.source = read_address(body.first(size), body.data() + 2 * size);
        header.destination = read_address(body.subspan(size, size), body.data() + 2 * size + 2);
    }
    return std::optional(header);
}

bool is_front(Bytes in, std::string_view signature) {
    const size_t size = std::min(in.size(), signature.size());
    return as_text(in.first(size)) == signature.substr(0, size);
}

/// Both of one family; an unknown destination is all zeros.
struct Pair {
    IpAddress source;
    IpAddress destination;
};
Pair of_one_family(const IpAddress& source, const IpAddress& destination) {
    Pair pair{source, destination};
    if (destination.empty()) pair.destination.size = source.size;
    if (pair.source.size != pair.destination.size) pair = {mapped(pair.source), mapped(pair.destination)};
    return pair;
}

void append_byte(ByteBuffer& out, unsigned value) {
    out.push_back(static_cast<std::byte>(value));
}

void append_be16(ByteBuffer& out, size_t value) {
    append_byte(out, static_cast<unsigned>(value >> 8) & 0xff);
    append_byte(out, static_cast<unsigned>(value) & 0xff);
}

}  // namespace

bool begins_proxy_header(Bytes in) {
    return is_front(in, v1_signature) || is_front(in, v2_signature);
}

Result<std::optional<ProxyHeader>> take_proxy_header(Bytes in) {
    if (is_front(in, v1_signature)) {
        if (in.size() < v1_signature.size()) return std::optional<ProxyHeader>{};
        return take_v1(in);
    }
    if (is_front(in, v2_signature)) {
        if (in.size() < v2_signature.size()) return std::optional<ProxyHeader>{};
        return take_v2(in);
    }
    return malformed("the connection does not begin with a header");
}

void append_proxy_header_v1(const IpAddress& source, const IpAddress& destination, ByteBuffer& out) {
    if (source.empty()) {
        append(out, "PROXY UNKNOWN\r\n");
        return;
    }
    const Pair pair = of_one_family(source, destination);
    std::string line{v1_signature};
    line += pair.source.size == 4 ? "TCP4 " : "TCP6 ";
    line += to_text(pair.source) + ' ' + to_text(pair.destination) + ' ';
    line += std::to_string(pair.source.port) + ' ' + std::to_string(pair.destination.port) + "\r\n";
    append(out, line);
}

void append_proxy_header_v2(const IpAddress& source, const IpAddress& destination, ByteBuffer& out) {
    append(out, v2_signature);
    if (source.empty()) {
        append_byte(out, 0x20);  // LOCAL
        append_byte(out, 0);
        append_be16(out, 0);
        return;
    }
    const Pair pair = of_one_family(source, destination);
    const unsigned family = pair.source.size == 4 ? family_inet : family_inet6;
    append_byte(out, 0x21);  // PROXY
    append_byte(out, family << 4 | transport_stream);
    append_be16(out, 2 * size_t{pair.source.size} + 4);
    append(out, pair.source.ip());
    append(out, pair.destination.ip());
    append_be16(out, pair.source.port);
    append_be16(out, pair.destination.port);
}

}  // namespace holdfast
