#include "config/sources.h"

#include <algorithm>

namespace holdfast::config {
uint64_t digest_of(std::string_view content) {
    // FNV-1a; https://datatracker.ietf.org/doc/draft-eastlake-fnv/
    uint64_t digest = 0xcbf29ce484222325;
    for (const char c : content) {
        digest ^= static_cast<unsigned char>(c);
        digest *= 0x100000001b3;
    }
    return digest == 0 ? 1 : digest;
}

Result<std::string> RecordingEnvironment::read_file(const std::string& path, size_t bytes_max) {
    auto content = machine_.read_file(path, bytes_max);
    note({path, content ? digest_of(*content) : 0, bytes_max});
    return content;
}

void RecordingEnvironment::note(SourceFile source) {
    const bool is_known = std::any_of(sources_.begin(), sources_.end(),
                                      [&](const SourceFile& each) { return each.path == source.path; });
    if (!is_known) sources_.push_back(std::move(source));
}

std::vector<SourceFile> look_again(const std::vector<SourceFile>& sources, Environment& environment) {
    std::vector<SourceFile> out = sources;
    for (SourceFile& source : out) {
        const auto content = environment.read_file(source.path, source.bytes_max);
        source.digest = content ? digest_of(*content) : 0;
    }
    return out;
}

}  // namespace holdfast::config
