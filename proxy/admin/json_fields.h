#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

/// Reading an answer of the API, for people: what is missing or of another type than expected is as if it
/// were empty, since the answer may be that of another version.
namespace holdfast::admin {

/// null when there is none. `object` may be any value.
const nlohmann::json& field_of(const nlohmann::json& object, const char* name);
/// As it is read, not escaped; empty for null.
std::string text_of(const nlohmann::json& object, const char* name);
bool flag_of(const nlohmann::json& object, const char* name);
uint64_t number_of(const nlohmann::json& object, const char* name);
/// An empty array when there is none.
const nlohmann::json& list_of(const nlohmann::json& object, const char* name);

/// Why a server is as it is: its own reason, and the operator's.
std::string reason_of(const nlohmann::json& server);

}  // namespace holdfast::admin
