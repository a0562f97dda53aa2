#include <algorithm>
#include <arpa/inet.h>
#include <cstdlib>
#include <cstring>

#include "protocol/base/ip_address.h"
#include "protocol/base/limits.h"
#include "protocol/base/proxy_header.h"

/// Headers of a hostile balancer: what was read is read again from what it is written as, no cut is read in
/// another way, and addresses are those that the system reads.
using namespace holdfast;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

void check_address(std::string_view text) {
    if (text.size() > 100 || text.find('\0') != std::string_view::npos) return;
    const std::string terminated(text);
    std::array<std::byte, 16> bytes{};
    const bool is_v4 = inet_pton(AF_INET, terminated.c_str(), bytes.data()) == 1;
    const bool is_v6 = !is_v4 && inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1;
    const auto address = parse_ip(text);
    require(address.has_value() == (is_v4 || is_v6));
    if (!address) return;
    require(address->size == (is_v4 ? 4 : 16) && address->bytes == bytes);
    char known[INET6_ADDRSTRLEN];
    inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes.data(), known, sizeof known);
    require(*parse_ip(to_text(*address)) == *address);
    require(*parse_ip(known) == *address);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const Bytes in(reinterpret_cast<const std::byte*>(data), size);
    check_address(as_text(in));
    const auto whole = take_proxy_header(in);
    for (size_t cut = 0; cut < std::min<size_t>(size, 300); ++cut) {
        const auto part = take_proxy_header(in.first(cut));
        if (part && *part) require(whole && *whole && (*whole)->bytes == (*part)->bytes);
        if (!part) require(!whole);
    }
    if (!whole || !*whole) return 0;
    const ProxyHeader& header = **whole;
    require(header.bytes <= size && header.bytes <= limits::proxy_header_bytes_max);
    require(begins_proxy_header(in));
    for (const auto append_header : {append_proxy_header_v1, append_proxy_header_v2}) {
        ByteBuffer out;
        append_header(header.source, header.destination, out);
        const auto again = take_proxy_header(out);
        require(again && *again && (*again)->bytes == out.size());
        require((*again)->source == header.source && (*again)->destination == header.destination);
    }
    return 0;
}
