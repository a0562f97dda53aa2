#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostic.h"
#include "config/environment.h"
#include "config/settings.h"

namespace holdfast::config {

/// What one load collects while it walks the file: diagnostics, and what is checked once everything is
/// read. Lives as long as the load.
class Context {
public:
    /// `environment` must outlive this.
    Context(std::string file, Environment& environment);

    void error(Position at, std::string message);
    void warning(Position at, std::string message);
    bool has_errors() const { return has_errors_; }
    /// Further diagnostics are only counted.
    bool is_full() const;
    /// Everything so far in the order of the file; to be called once, at the end.
    std::vector<Diagnostic> take_diagnostics();

    Environment& environment() { return environment_; }
    const std::string& file() const { return file_; }
    /// A path as the file means it: what is not absolute starts at the file's own folder.
    std::string resolve(std::string_view path) const;

    /// The first secret that stands in the file itself; line 0: none does.
    void note_inline_secret(Position at);
    Position first_inline_secret() const { return first_inline_secret_; }

    /// An address that is listened on, and whose it is ("cluster.shop", "admin.listen").
    struct Bound {
        Endpoint endpoint;
        Position at;
        std::string owner;
    };
    void note_bound(Bound bound) { bound_.push_back(std::move(bound)); }
    const std::vector<Bound>& bound() const { return bound_; }

private:
    void add(Diagnostic::Severity severity, Position at, std::string message);

    std::string file_;
    Environment& environment_;
    std::vector<Diagnostic> diagnostics_;
    size_t left_out_ = 0;
    bool has_errors_ = false;
    Position first_inline_secret_;
    std::vector<Bound> bound_;
};

}  // namespace holdfast::config
