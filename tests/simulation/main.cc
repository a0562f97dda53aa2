#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "tests/simulation/run.h"

namespace {

constexpr const char* usage =
    "usage: simulation [--protocol P] [--seeds N] [--first S] [--stop] [--seed S [--trace]]\n"
    "Plays random histories of a cluster, its proxy and its clients, each from a seed, and checks what must\n"
    "hold in all of them. Ends with 0 when nothing was found.\n"
    "  --protocol P  postgres or mysql (postgres)\n"
    "  --seeds N   how many (300)\n"
    "  --first S   the first of them (1)\n"
    "  --stop      at the first that fails\n"
    "  --seed S    only this one\n"
    "  --trace     print every message and event\n";

bool read_number(const char* text, uint64_t& out) {
    const auto [end, error] = std::from_chars(text, text + std::strlen(text), out);
    return error == std::errc{} && *end == '\0';
}

}  // namespace

int main(int argc, char** argv) {
    uint64_t seeds = 300;
    uint64_t first = 1;
    auto protocol = holdfast::config::Protocol::postgres;
    bool trace = false;
    bool stops = false;
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        const bool has_value = i + 1 < argc;
        bool understood = true;
        if (option == "--trace") {
            trace = true;
        } else if (option == "--stop") {
            stops = true;
        } else if (option == "--protocol" && has_value) {
            const std::string_view name = argv[++i];
            understood = name == "postgres" || name == "mysql";
            if (name == "mysql") protocol = holdfast::config::Protocol::mysql;
        } else if (option == "--seeds" && has_value) {
            understood = read_number(argv[++i], seeds);
        } else if (option == "--first" && has_value) {
            understood = read_number(argv[++i], first);
        } else if (option == "--seed" && has_value) {
            understood = read_number(argv[++i], first);
            seeds = 1;
        } else {
            understood = false;
        }
        if (!understood) {
            std::fputs(usage, option == "--help" ? stdout : stderr);
            return option == "--help" ? 0 : 2;
        }
    }
    const auto began = std::chrono::steady_clock::now();
    uint64_t played = 0;
    uint64_t failed = 0;
    holdfast::simulation::Report total;
    for (uint64_t seed = first; seed < first + seeds && !(stops && failed > 0); ++seed) {
        const auto result = holdfast::simulation::run(protocol, seed, trace);
        ++played;
        if (seeds == 1)
            std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), result.summary.c_str());
        total.statements += result.statements;
        total.faults += result.faults;
        total.failovers += result.failovers;
        total.unknown_outcomes += result.unknown_outcomes;
        total.corrections += result.corrections;
        total.reads_again += result.reads_again;
        if (result.problems.empty()) continue;
        ++failed;
        std::printf("seed %llu FAILED; replay it with: %s%s --seed %llu --trace\n",
                    static_cast<unsigned long long>(seed), argv[0],
                    protocol == holdfast::config::Protocol::mysql ? " --protocol mysql" : "",
                    static_cast<unsigned long long>(seed));
        for (const std::string& problem : result.problems) std::printf("    %s\n", problem.c_str());
        std::fflush(stdout);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
    std::printf(
        "%llu statements, %llu faults, %llu outages ended by a write, %llu reads run again, %llu refusals "
        "corrected, "
        "%llu unknown outcomes, %.1f s\n",
        number(total.statements), number(total.faults), number(total.failovers), number(total.reads_again),
        number(total.corrections), number(total.unknown_outcomes), seconds);
    std::printf("%llu passed, %llu failed\n", number(played - failed), number(failed));
    return failed == 0 ? 0 : 1;
}
