#include "proxy/app/check.h"

#include <ostream>

#include "config/load.h"

namespace holdfast::app {

int check(const std::string& config_file, std::ostream& out, std::ostream& err) {
    const config::Loaded loaded = config::load_file(config_file);
    for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
        err << format(diagnostic, loaded.source) << '\n';
    }
    if (!loaded.settings) return 1;
    out << config_file << ": good\n";
    return 0;
}

}  // namespace holdfast::app
