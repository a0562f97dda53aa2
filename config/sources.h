#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/environment.h"
#include "config/settings.h"

/// Which files a configuration was read from, and whether they have changed since.
namespace holdfast::config {

/// A number that differs when the content does; never 0. It tells an edited file from one that was only
/// touched, not a forged one from a true one.
uint64_t digest_of(std::string_view content);

/// Passes everything on, and keeps what was read as sources: each path once, also one that can't be read.
class RecordingEnvironment final : public Environment {
public:
    /// `machine` must outlive this.
    explicit RecordingEnvironment(Environment& machine) : machine_(machine) {}

    Result<std::string> read_file(const std::string& path, size_t bytes_max) override;
    std::optional<std::string> variable(const std::string& name) override { return machine_.variable(name); }
    std::optional<unsigned> permissions(const std::string& path) override {
        return machine_.permissions(path);
    }

    /// A file that was read already.
    void note(SourceFile source);
    std::vector<SourceFile> take_sources() { return std::move(sources_); }

private:
    Environment& machine_;
    std::vector<SourceFile> sources_;
};

/// The same files as they are now. Blocks.
std::vector<SourceFile> look_again(const std::vector<SourceFile>& sources, Environment& environment);

}  // namespace holdfast::config
