#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostic.h"
#include "config/environment.h"
#include "config/settings.h"

/// Reading a configuration. What may be written is in config/keys.cc and REFERENCE.md.
namespace holdfast::config {

struct Loaded {
    std::optional<Settings> settings;     // set when there is no error; warnings do not count
    std::vector<Diagnostic> diagnostics;  // in the order of the file; those about the whole file first
    /// The file and those that it names, also when there are errors.
    std::vector<SourceFile> sources;
    /// What was read, for format(). It may hold secrets: keep it no longer than the diagnostics are needed.
    std::string source;
};

/// Reads and checks a file, the secrets and certificates that it names included. Every error is found in one
/// run, save that nothing is checked behind the first error of syntax. Blocks on files: call it at start, or
/// off the event loop.
Loaded load_file(const std::string& path);

/// The same with the text at hand (any bytes) and the machine as `environment` has it.
/// file_name  for messages; relative paths in the text start at its folder
Loaded load_text(std::string_view text, const std::string& file_name, Environment& environment);

}  // namespace holdfast::config
