#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

namespace holdfast::health {

/// A set of global transaction ids, as MySQL and MariaDB write them: what a server has executed. A value.
///
/// MySQL names each transaction by its origin (a UUID, since 8.3 with an optional tag) and a number; a set is
/// a list of intervals for each origin. MariaDB has one last transaction for each domain, which stands for
/// all before it.
class GtidSet {
public:
    GtidSet() = default;

    /// Reads `domain-server-sequence`, separated by commas; blanks are ignored, an empty text is an empty
    /// set. Of several transactions of one domain (as in gtid_binlog_state) the last one counts. errors
    /// bad_value: not that; limit_exceeded: longer than limits::gtid_set_bytes_max spec    MariaDB Server
    /// documentation, "Global Transaction ID", The Global Transaction ID in Detail
    static Result<GtidSet> parse_mariadb(std::string_view text);
    /// Reads `uuid:interval[:interval]…[:tag:interval…]`, separated by commas, where an interval is `first`
    /// or `first-last`; blanks and newlines are ignored, an empty text is an empty set. errors  bad_value:
    /// not that; limit_exceeded: longer than limits::gtid_set_bytes_max, or more intervals
    ///         than limits::gtid_intervals_max
    /// spec    MySQL Reference Manual, "GTID Format and Storage", GTID Sets
    static Result<GtidSet> parse_mysql(std::string_view text);

    bool empty() const { return origins_.empty(); }
    /// Whether every transaction of `other` is in this set. MariaDB: also that the last one of a domain is
    /// the same where both end with the same number; two servers that wrote it apart do not cover each other.
    bool covers(const GtidSet& other) const;
    /// Adds the transactions of `other`.
    void join(const GtidSet& other);
    /// Adds the transactions of `other` whose origin (MariaDB: domain) this set knows nothing of.
    void join_unknown(const GtidSet& other);
    /// As the server would write it (MySQL: in lower case, without blanks).
    std::string text() const;

    bool operator==(const GtidSet&) const = default;

private:
    struct Interval {
        uint64_t first = 0;
        uint64_t last = 0;  // included
        bool operator==(const Interval&) const = default;
    };
    struct Origin {
        std::string name;                 // MySQL: the UUID, in lower case, and ":tag"; MariaDB: the domain
        uint32_t server = 0;              // MariaDB: who wrote the last one; MySQL: 0
        std::vector<Interval> intervals;  // ascending, apart from each other
        bool operator==(const Origin&) const = default;
    };
    Origin& origin(const std::string& name);
    const Origin* find(std::string_view name) const;
    static void add(std::vector<Interval>& intervals, Interval added);

    std::vector<Origin> origins_;  // ordered by name
};

}  // namespace holdfast::health
