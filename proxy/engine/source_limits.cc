#include "proxy/engine/source_limits.h"

#include <algorithm>
#include <chrono>
#include <string>

#include <openssl/sha.h>

#include "protocol/base/limits.h"

namespace holdfast::engine {
namespace {

constexpr size_t ways = 4;
/// An address may fail so much oftener than one of its users.
constexpr uint32_t users_of_address = 10;

TokenTable::Rate connect_rate(const config::Limits& limits) {
    return {static_cast<double>(limits.connect_rate), static_cast<double>(limits.connect_burst)};
}

TokenTable::Rate failure_rate(uint32_t per_minute) {
    return {per_minute / 60.0, static_cast<double>(per_minute)};
}

TokenTable::Rate address_rate(const config::Limits& limits) {
    return failure_rate(limits.login_failures * users_of_address);
}

}  // namespace

double TokenTable::tokens_of(const Bucket& bucket, Rate rate, TimePoint now) {
    const double passed = std::chrono::duration<double>(now - bucket.at).count();
    return std::min(rate.burst, bucket.tokens + passed * rate.per_second);
}

TokenTable::Bucket& TokenTable::find(uint64_t key, Rate rate, TimePoint now) {
    if (buckets_.empty()) buckets_.resize(places_);
    Bucket* const set = &buckets_[(key & (places_ / ways - 1)) * ways];
    Bucket* fullest = set;
    for (Bucket* each = set; each < set + ways; ++each) {
        if (each->key == key) return *each;
        if (fullest->key == 0) continue;
        if (each->key == 0 || tokens_of(*each, rate, now) > tokens_of(*fullest, rate, now)) fullest = each;
    }
    *fullest = {key, rate.burst, now};
    return *fullest;
}

bool TokenTable::take(uint64_t key, Rate rate, TimePoint now) {
    Bucket& bucket = find(key, rate, now);
    bucket.tokens = tokens_of(bucket, rate, now);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
}

bool TokenTable::is_empty(uint64_t key, Rate rate, TimePoint now) const {
    if (buckets_.empty()) return false;
    const Bucket* const set = &buckets_[(key & (places_ / ways - 1)) * ways];
    const Bucket* const found = std::find_if(set, set + ways, [&](const Bucket& b) { return b.key == key; });
    return found != set + ways && tokens_of(*found, rate, now) < 1;
}

SourceLimits::SourceLimits(const std::array<std::byte, 16>& secret, size_t places)
    : secret_(secret), connects_(places), failures_of_users_(places), failures_of_addresses_(places) {}

/// Never 0: that marks a free place.
uint64_t SourceLimits::key_of(const IpAddress& from, std::string_view more) const {
    std::string text(as_text(secret_));
    text += static_cast<char>(from.size);
    text += as_text(from.size == 16 ? from.ip().first(8) : from.ip());
    text += more;
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    uint64_t key = 0;
    for (size_t i = 0; i < sizeof key; ++i) key = key << 8 | digest[i];
    return std::max<uint64_t>(key, 1);
}

bool SourceLimits::may_connect(const IpAddress& from, const config::Limits& limits, TimePoint now) {
    if (limits.connect_rate == 0 || from.empty()) return true;
    const std::string scope =
        std::to_string(limits.connect_rate) + "/" + std::to_string(limits.connect_burst);
    return connects_.take(key_of(from, scope), connect_rate(limits), now);
}

SourceLimits::Claim SourceLimits::claim(const IpAddress& from, std::string_view cluster,
                                        std::string_view user, const config::Limits& limits) const {
    std::string account = std::to_string(cluster.size()) + ":";  // accounts belong to their cluster
    account += cluster;
    account += user;
    return {key_of(from, std::to_string(limits.login_failures)), key_of(from, account)};
}

SourceLimits::Login SourceLimits::judge(const Claim& claim, const config::Limits& limits, TimePoint now) {
    if (limits.login_failures == 0) return Login::at_once;
    const bool user_failed =
        failures_of_users_.is_empty(claim.user, failure_rate(limits.login_failures), now);
    if (!user_failed && !failures_of_addresses_.is_empty(claim.address, address_rate(limits), now))
        return Login::at_once;
    if ((user_failed && waiting(claim.user) >= limits::delayed_logins_of_user_max) ||
        waiting(claim.address) >= limits::delayed_logins_of_address_max) {
        return Login::refused;
    }
    ++waiting_[claim.user];
    ++waiting_[claim.address];
    return Login::after_delay;
}

uint32_t SourceLimits::waiting(uint64_t key) const {
    const auto found = waiting_.find(key);
    return found == waiting_.end() ? 0 : found->second;
}

void SourceLimits::done_waiting(const Claim& claim) {
    count_out(claim.user);
    count_out(claim.address);
}

void SourceLimits::count_out(uint64_t key) {
    const auto found = waiting_.find(key);
    if (found != waiting_.end() && --found->second == 0) waiting_.erase(found);
}

void SourceLimits::login_failed(const Claim& claim, const config::Limits& limits, TimePoint now) {
    if (limits.login_failures == 0) return;
    failures_of_users_.take(claim.user, failure_rate(limits.login_failures), now);
    failures_of_addresses_.take(claim.address, address_rate(limits), now);
}

}  // namespace holdfast::engine
