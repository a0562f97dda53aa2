#include <cstdlib>

#include "health/gtid.h"
#include "health/gtid_history.h"

/// Sets of GTIDs from a lying server: what was read is written and read again, and the rules of sets hold.
using namespace holdfast;
using namespace holdfast::health;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

template <typename Parse>
void check(std::string_view text, Parse parse) {
    const Result<GtidSet> whole = parse(text);
    if (whole) {
        const Result<GtidSet> again = parse(whole->text());
        require(again.ok() && *again == *whole);
        require(whole->covers(*whole) && whole->covers(GtidSet()));
    }
    const Result<GtidSet> first = parse(text.substr(0, text.size() / 2));
    const Result<GtidSet> second = parse(text.substr(text.size() / 2));
    if (!first || !second) return;
    GtidSet joined = *first;
    joined.join(*second);
    if (first->covers(*second)) require(joined == *first);
    GtidHistory history;
    const Position earlier = history.add(*first);
    const Position later = history.add(joined);
    require(later >= earlier && history.find(joined) == later);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check(text, GtidSet::parse_mariadb);
    check(text, GtidSet::parse_mysql);
    return 0;
}
