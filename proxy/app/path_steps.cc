#include "proxy/app/path_steps.h"

#include <deque>
#include <filesystem>
#include <system_error>

namespace holdfast::app {

namespace {

namespace fs = std::filesystem;

/// As many as the kernel follows (path_resolution(7)).
constexpr int links_max = 40;

/// The names of a path that are still to be walked, before those that are left of another.
void put_before(const fs::path& path, std::deque<std::string>& names) {
    std::deque<std::string> more;
    for (const fs::path& part : path.relative_path()) more.push_back(part.string());
    names.insert(names.begin(), more.begin(), more.end());
}

void add_steps(const std::string& path, PathSteps& steps) {
    std::error_code error;
    fs::path at = "/";
    std::deque<std::string> names;
    put_before(fs::absolute(path, error), names);
    int links = 0;
    while (!error && !names.empty()) {
        const std::string name = names.front();
        names.pop_front();
        if (name.empty() || name == ".") continue;
        if (name == "..") {
            at = at.parent_path();
            continue;
        }
        steps[at.string()].insert(name);
        const fs::file_status found = fs::symlink_status(at / name, error);
        if (!fs::is_symlink(found)) {
            at /= name;
            if (!fs::exists(found)) return;
            continue;
        }
        const fs::path target = fs::read_symlink(at / name, error);
        if (error || ++links > links_max) return;
        if (target.is_absolute()) at = "/";
        put_before(target, names);
    }
}

}  // namespace

PathSteps steps_of(const std::vector<std::string>& paths) {
    PathSteps steps;
    for (const std::string& path : paths) add_steps(path, steps);
    return steps;
}

}  // namespace holdfast::app
