#include "proxy/admin/process_figures.h"

#include <cstdio>
#include <dirent.h>
#include <limits>
#include <memory>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::admin {

namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

double cpu_seconds() {
    rusage usage{};
    if (::getrusage(RUSAGE_SELF, &usage) != 0) return unknown;
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Memory {
    double resident = unknown;
    double virtual_size = unknown;
};

Memory memory() {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/statm", "re"),
                                                               std::fclose);
    unsigned long total = 0;
    unsigned long resident = 0;
    if (!file || std::fscanf(file.get(), "%lu %lu", &total, &resident) != 2) return {};
    const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
    return {static_cast<double>(resident) * page, static_cast<double>(total) * page};
}

double open_descriptors() {
    // Since Linux 6.2 the directory's size is the number; reading tens of thousands of entries would stop
    // the event loop for milliseconds.
    struct stat status {};
    if (::stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
        return static_cast<double>(status.st_size);
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc/self/fd"), ::closedir);
    if (!directory) return unknown;
    double count = 0;
    while (const dirent* entry = ::readdir(directory.get())) {
        if (entry->d_name[0] != '.') ++count;
    }
    return count - 1;  // less the directory itself
}

double descriptors_max() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return unknown;
    if (limit.rlim_cur == RLIM_INFINITY) return std::numeric_limits<double>::infinity();
    return static_cast<double>(limit.rlim_cur);
}

}  // namespace

ProcessFigures process_figures() {
    const Memory used = memory();
    return {cpu_seconds(), used.resident, used.virtual_size, open_descriptors(), descriptors_max()};
}

}  // namespace holdfast::admin
