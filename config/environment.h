#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "protocol/base/result.h"

namespace holdfast::config {

/// What the loader needs of the machine besides the text itself. Tests give one of their own.
class Environment {
public:
    virtual ~Environment() = default;

    /// The whole content of a regular file; symbolic links are followed. Blocks.
    /// errors  not_found, denied, limit_exceeded (more than `bytes_max`), bad_value (not a regular file),
    ///         internal; each with the reason in words, without the path
    virtual Result<std::string> read_file(const std::string& path, size_t bytes_max) = 0;
    /// An environment variable; nullopt when it is not set.
    virtual std::optional<std::string> variable(const std::string& name) = 0;
    /// The permission bits (0777) of a file; nullopt when they can't be told.
    virtual std::optional<unsigned> permissions(const std::string& path) = 0;
};

/// The machine as it is.
class SystemEnvironment final : public Environment {
public:
    Result<std::string> read_file(const std::string& path, size_t bytes_max) override;
    std::optional<std::string> variable(const std::string& name) override;
    std::optional<unsigned> permissions(const std::string& path) override;
};

}  // namespace holdfast::config
