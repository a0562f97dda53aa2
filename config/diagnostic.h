#pragma once

#include <string>
#include <string_view>

namespace holdfast::config {

/// A place in the file, counted from 1 in lines and characters (not bytes). Zeros: no place in particular.
struct Position {
    int line = 0;
    int column = 0;
};

/// One thing that is wrong, or doubtful, in a configuration. Its message never holds a secret.
struct Diagnostic {
    enum class Severity { error, warning };

    Severity severity = Severity::error;
    std::string file;
    int line = 0;    // 0: the whole file
    int column = 0;  // in characters
    std::string message;
};

/// `file:line:column: error: message`, then the line of the file and a caret under the place. What a line
/// says after a key that may hold a secret is left out, and so are lines inside a multi-line text.
/// source  the text that was loaded (Loaded::source); empty: only the first line is made
std::string format(const Diagnostic& diagnostic, std::string_view source);

}  // namespace holdfast::config
