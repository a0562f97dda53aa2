#include "health/gtid.h"

#include <algorithm>
#include <optional>

#include "protocol/base/limits.h"
#include "protocol/base/numbers.h"

namespace holdfast::health {

namespace {

constexpr size_t uuid_chars = 36;
constexpr size_t tag_chars_max = 32;

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    const size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// Takes the part before the next separator off the front.
std::string_view take_part(std::string_view& text, char separator) {
    const size_t at = std::min(text.find(separator), text.size());
    const std::string_view part = text.substr(0, at);
    text.remove_prefix(std::min(at + 1, text.size()));
    return trimmed(part);
}

/// The UUID in lower case; empty: it is none.
std::string uuid_of(std::string_view text) {
    if (text.size() != uuid_chars) return {};
    std::string uuid(text);
    for (size_t i = 0; i < uuid.size(); ++i) {
        char& c = uuid[i];
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
        const bool is_dash_due = i == 8 || i == 13 || i == 18 || i == 23;
        const bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (is_dash_due ? c != '-' : !is_hex) return {};
    }
    return uuid;
}

std::string tag_of(std::string_view text) {
    if (text.empty() || text.size() > tag_chars_max) return {};
    std::string tag(text);
    for (size_t i = 0; i < tag.size(); ++i) {
        char& c = tag[i];
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        const bool is_letter = (c >= 'a' && c <= 'z') || c == '_';
        if (!is_letter && (i == 0 || c < '0' || c > '9')) return {};
    }
    return tag;
}

Error bad(const char* what) {
    return {ErrorCode::bad_value, std::string("not a set of GTIDs: ") + what};
}

Error too_long() {
    return {ErrorCode::limit_exceeded, "the set of GTIDs is too long to be followed"};
}

}  // namespace

Result<GtidSet> GtidSet::parse_mariadb(std::string_view text) {
    if (text.size() > limits::gtid_set_bytes_max) return too_long();
    GtidSet out;
    text = trimmed(text);
    while (!text.empty()) {
        std::string_view gtid = take_part(text, ',');
        const auto domain = parse_number<uint32_t>(take_part(gtid, '-'));
        const auto server = parse_number<uint32_t>(take_part(gtid, '-'));
        const auto sequence = parse_number<uint64_t>(gtid);
        if (!domain || !server || !sequence) return bad("expected domain-server-sequence");
        if (*sequence == 0) continue;
        Origin& known = out.origin(std::to_string(*domain));
        if (!known.intervals.empty() && known.intervals[0].last >= *sequence) continue;
        known.intervals = {{1, *sequence}};
        known.server = *server;
    }
    return out;
}

Result<GtidSet> GtidSet::parse_mysql(std::string_view text) {
    if (text.size() > limits::gtid_set_bytes_max) return too_long();
    GtidSet out;
    size_t count = 0;
    text = trimmed(text);
    while (!text.empty()) {
        std::string_view part = take_part(text, ',');
        if (part.empty()) continue;  // the server itself takes ",,"
        const std::string uuid = uuid_of(take_part(part, ':'));
        if (uuid.empty()) return bad("expected a UUID");
        if (part.empty()) return bad("a UUID without numbers");
        std::string name = uuid;
        while (!part.empty()) {
            std::string_view item = take_part(part, ':');
            if (const std::string tag = tag_of(item); !tag.empty()) {
                if (part.empty()) return bad("a tag without numbers");
                name = uuid + ":" + tag;
                continue;
            }
            const bool is_single = item.find('-') == std::string_view::npos;
            const auto first = parse_number<uint64_t>(take_part(item, '-'));
            const auto last = is_single ? first : parse_number<uint64_t>(item);
            if (!first || !last || *first == 0 || *last < *first) return bad("expected first-last");
            if (++count > limits::gtid_intervals_max) return too_long();
            add(out.origin(name).intervals, {*first, *last});
        }
    }
    return out;
}

GtidSet::Origin& GtidSet::origin(const std::string& name) {
    const auto at = std::lower_bound(origins_.begin(), origins_.end(), name,
                                     [](const Origin& o, const std::string& n) { return o.name < n; });
    if (at != origins_.end() && at->name == name) return *at;
    return *origins_.insert(at, Origin{name, 0, {}});
}

const GtidSet::Origin* GtidSet::find(std::string_view name) const {
    const auto at = std::lower_bound(origins_.begin(), origins_.end(), name,
                                     [](const Origin& o, std::string_view n) { return o.name < n; });
    return at != origins_.end() && at->name == name ? &*at : nullptr;
}

void GtidSet::add(std::vector<Interval>& intervals, Interval added) {
    // The first one that the new one touches or precedes; subtracting keeps clear of overflow.
    auto at = std::lower_bound(
        intervals.begin(), intervals.end(), added,
        [](const Interval& a, const Interval& b) { return a.last < b.first && b.first - a.last > 1; });
    auto end = at;
    while (end != intervals.end() && (end->first <= added.last || end->first - added.last == 1)) {
        added.first = std::min(added.first, end->first);
        added.last = std::max(added.last, end->last);
        ++end;
    }
    at = intervals.erase(at, end);
    intervals.insert(at, added);
}

bool GtidSet::covers(const GtidSet& other) const {
    return std::all_of(other.origins_.begin(), other.origins_.end(), [&](const Origin& theirs) {
        const Origin* const ours = find(theirs.name);
        if (ours == nullptr) return false;
        const bool is_same_end = ours->intervals.back().last == theirs.intervals.back().last;
        if (is_same_end && ours->server != theirs.server) return false;
        return std::all_of(theirs.intervals.begin(), theirs.intervals.end(), [&](const Interval& needed) {
            const auto at =
                std::lower_bound(ours->intervals.begin(), ours->intervals.end(), needed.first,
                                 [](const Interval& i, uint64_t first) { return i.last < first; });
            return at != ours->intervals.end() && at->first <= needed.first && at->last >= needed.last;
        });
    });
}

void GtidSet::join(const GtidSet& other) {
    for (const Origin& theirs : other.origins_) {
        Origin& ours = origin(theirs.name);
        const bool is_later =
            ours.intervals.empty() || theirs.intervals.back().last > ours.intervals.back().last;
        if (is_later) ours.server = theirs.server;
        for (const Interval& interval : theirs.intervals) add(ours.intervals, interval);
    }
}

void GtidSet::join_unknown(const GtidSet& other) {
    for (const Origin& theirs : other.origins_) {
        if (find(theirs.name) == nullptr) origin(theirs.name) = theirs;
    }
}

std::string GtidSet::text() const {
    std::string out;
    for (const Origin& each : origins_) {
        if (!out.empty()) out += ',';
        out += each.name;
        const bool is_domain = each.name.find(':') == std::string::npos && each.name.size() < uuid_chars;
        if (is_domain) {
            out += '-' + std::to_string(each.server) + '-' + std::to_string(each.intervals.back().last);
            continue;
        }
        for (const Interval& interval : each.intervals) {
            out += ':' + std::to_string(interval.first);
            if (interval.last != interval.first) out += '-' + std::to_string(interval.last);
        }
    }
    return out;
}

}  // namespace holdfast::health
