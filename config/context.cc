#include "config/context.h"

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <utility>

namespace holdfast::config {
namespace {

/// More are not read by anyone; the bound keeps what a file can make the loader hold in proportion.
constexpr size_t diagnostics_max = 1'000;

}  // namespace

Context::Context(std::string file, Environment& environment)
    : file_(std::move(file)), environment_(environment) {}

void Context::error(Position at, std::string message) {
    has_errors_ = true;
    add(Diagnostic::Severity::error, at, std::move(message));
}

void Context::warning(Position at, std::string message) {
    add(Diagnostic::Severity::warning, at, std::move(message));
}

void Context::add(Diagnostic::Severity severity, Position at, std::string message) {
    if (is_full()) {
        ++left_out_;
        return;
    }
    diagnostics_.push_back({severity, file_, at.line, at.column, std::move(message)});
}

bool Context::is_full() const {
    return diagnostics_.size() >= diagnostics_max;
}

std::vector<Diagnostic> Context::take_diagnostics() {
    std::stable_sort(diagnostics_.begin(), diagnostics_.end(), [](const Diagnostic& a, const Diagnostic& b) {
        return std::tie(a.line, a.column) < std::tie(b.line, b.column);
    });
    if (left_out_ > 0) {
        const auto severity = has_errors_ ? Diagnostic::Severity::error : Diagnostic::Severity::warning;
        diagnostics_.push_back({severity, file_, 0, 0, std::to_string(left_out_) + " more are not shown"});
    }
    return std::move(diagnostics_);
}

std::string Context::resolve(std::string_view path) const {
    const size_t slash = file_.rfind('/');
    if (path.starts_with('/') || slash == std::string::npos) return std::string(path);
    return file_.substr(0, slash + 1) + std::string(path);
}

void Context::note_inline_secret(Position at) {
    const bool is_first = first_inline_secret_.line == 0 || at.line < first_inline_secret_.line;
    if (is_first) first_inline_secret_ = at;
}

}  // namespace holdfast::config
