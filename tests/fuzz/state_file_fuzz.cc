#include <cstdlib>
#include <string>

#include "proxy/app/duties.h"

/// Any bytes as the file that keeps what operators said of servers: what was read is written and read again.
using namespace holdfast;
using app::Duties;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto records = Duties::parse(std::string(reinterpret_cast<const char*>(data), size));
    if (!records) {
        require(!records.error().message.empty());
        return 0;
    }
    const auto again = Duties::parse(Duties::to_text(*records));
    require(again.ok() && again->size() == records->size());
    for (const auto& [name, record] : *records) {
        require(record.duty != health::Duty::serves);
        const auto found = again->find(name);
        require(found != again->end() && found->second.duty == record.duty &&
                found->second.reason == record.reason && found->second.by == record.by &&
                found->second.since_unix_s == record.since_unix_s);
    }
    return 0;
}
