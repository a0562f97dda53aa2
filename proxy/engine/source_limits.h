#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/settings.h"
#include "protocol/base/clock.h"
#include "protocol/base/ip_address.h"

namespace holdfast::engine {

/// A bucket of tokens for each key, in a table whose size does not grow: a set of four places that is full
/// gives up the bucket that lost least, which in time is as good as a new one.
class TokenTable {
public:
    /// What a bucket gains, in tokens per second, and how much it holds at most.
    struct Rate {
        double per_second;
        double burst;
    };
    /// places  a power of two; memory is taken at the first use
    explicit TokenTable(size_t places) : places_(places) {}
    /// False: the bucket has no token left.
    bool take(uint64_t key, Rate rate, TimePoint now);
    bool is_empty(uint64_t key, Rate rate, TimePoint now) const;

private:
    struct Bucket {
        uint64_t key = 0;  // 0: free
        double tokens = 0;
        TimePoint at{};
    };
    static double tokens_of(const Bucket& bucket, Rate rate, TimePoint now);
    Bucket& find(uint64_t key, Rate rate, TimePoint now);

    size_t places_;
    std::vector<Bucket> buckets_;
};

/// What clients of one source address may do in a time: connect, and fail to log in. An IPv6 source is a /64
/// network, since whoever has one address there has all. Memory is bounded however many sources there are.
/// Limits are those of the call, so that a reload counts at once; time is an argument.
///
/// One serves all clusters: those with the same limits share what an address may do, so that it can't do more
/// by going from cluster to cluster; one with limits of its own counts for itself.
class SourceLimits {
public:
    /// secret  random bytes, so that nobody can choose addresses or names that share a bucket
    explicit SourceLimits(const std::array<std::byte, 16>& secret, size_t places);

    /// A connection has come. False: too many from there; close it.
    bool may_connect(const IpAddress& from, const config::Limits& limits, TimePoint now);

    enum class Login : uint8_t { at_once, after_delay, refused };
    /// Who a login is counted for.
    struct Claim {
        uint64_t address = 0;
        uint64_t user = 0;  // of that cluster, from that address
    };
    Claim claim(const IpAddress& from, std::string_view cluster, std::string_view user,
                const config::Limits& limits) const;
    /// What becomes of a login whose proof is still to be looked at. One that is to wait is counted as
    /// waiting until done_waiting().
    ///
    /// A user's failures delay that user's logins from that address, and nobody else's, so that one client
    /// with a wrong password does not shut out the others behind the same NAT. Ten times as many failures,
    /// of whatever users, delay all logins from there. A delayed login is still let in when it proves right.
    Login judge(const Claim& claim, const config::Limits& limits, TimePoint now);
    void done_waiting(const Claim& claim);
    void login_failed(const Claim& claim, const config::Limits& limits, TimePoint now);

private:
    uint64_t key_of(const IpAddress& from, std::string_view more) const;
    void count_out(uint64_t key);
    uint32_t waiting(uint64_t key) const;

    std::array<std::byte, 16> secret_;
    TokenTable connects_;
    TokenTable failures_of_users_;
    TokenTable failures_of_addresses_;
    std::unordered_map<uint64_t, uint32_t> waiting_;  // by both keys of a claim
};

}  // namespace holdfast::engine
