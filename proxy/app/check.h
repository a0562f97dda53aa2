#pragma once

#include <iosfwd>
#include <string>

namespace holdfast::app {

struct CheckOptions {
    std::string config_file;
    bool connect = false;  // also ask the servers, and try the addresses
    bool json = false;
    bool strict = false;  // warnings count as errors
};

/// `holdfast check`: reads a configuration as `run` would, the certificates that it names included, and says
/// all that is wrong or doubtful. In text, that goes to `err`, in the order of the file; to `out`, what was
/// found of the servers, and that the configuration is good. As JSON, all of it is one object on `out`:
/// {"file", "good", "problems": [{"severity", "where" or "line" and "column", "message", "grant"}],
/// "clusters": [{"name", "servers": […]}]}.
/// Returns the exit code: 0; 1 with errors, or with warnings when they count.
int check(const CheckOptions& options, std::ostream& out, std::ostream& err);

}  // namespace holdfast::app
