#include "proxy/admin/json_fields.h"

namespace holdfast::admin {

using nlohmann::json;

const json& field_of(const json& object, const char* name) {
    static const json nothing;
    if (!object.is_object()) return nothing;
    const auto found = object.find(name);
    return found == object.end() ? nothing : *found;
}

std::string text_of(const json& object, const char* name) {
    const json& value = field_of(object, name);
    if (value.is_null()) return {};
    if (value.is_string()) return value.get<std::string>();
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool flag_of(const json& object, const char* name) {
    const json& value = field_of(object, name);
    return value.is_boolean() && value.get<bool>();
}

uint64_t number_of(const json& object, const char* name) {
    const json& value = field_of(object, name);
    return value.is_number() ? value.get<uint64_t>() : 0;
}

const json& list_of(const json& object, const char* name) {
    static const json empty = json::array();
    const json& value = field_of(object, name);
    return value.is_array() ? value : empty;
}

std::string reason_of(const json& server) {
    std::string reason = text_of(server, "reason");
    if (const std::string said = text_of(server, "state_reason"); !said.empty()) {
        reason += (reason.empty() ? "" : "; ") + said;
    }
    return reason;
}

}  // namespace holdfast::admin
