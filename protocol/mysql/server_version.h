#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// What the text says by which a server calls itself.
namespace holdfast::mysql {

inline bool is_mariadb(std::string_view version) {
    return version.find("MariaDB") != std::string_view::npos;
}

/// "10.11.6-MariaDB", "5.5.5-10.11.6-MariaDB" (the prefix is for old replicas' sake), "8.0.36" as a number:
/// major * 10,000 + minor * 100 + patch. 0: it is none.
uint32_t version_number(std::string_view version);

/// What a server that calls itself by this text greets its clients with: MariaDB up to 11.0.0 puts "5.5.5-"
/// in front of it. Drivers, and replicas, tell MariaDB's kinds by that. spec    MDEV-4088, MDEV-28910
std::string greeted_version(std::string_view version);

}  // namespace holdfast::mysql
