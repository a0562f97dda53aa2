#include "protocol/postgres/reported.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::postgres {

namespace {

/// PostgreSQL's own defaults. A server's configuration may have others: it is a guess.
constexpr std::pair<std::string_view, std::string_view> defaults[] = {
    {"application_name", ""},
    {"datestyle", "ISO, MDY"},
    {"default_transaction_read_only", "off"},
    {"intervalstyle", "postgres"},
    {"search_path", "\"$user\", public"},
    {"standard_conforming_strings", "on"},
    {"timezone", "GMT"},
};

bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return result;
}

/// The words of `options` as the server splits them: a backslash takes the next character as it is.
std::vector<std::string> words_of(std::string_view options) {
    std::vector<std::string> words;
    bool in_word = false;
    for (size_t i = 0; i < options.size(); ++i) {
        if (is_space(options[i])) {
            in_word = false;
            continue;
        }
        if (!std::exchange(in_word, true)) words.emplace_back();
        if (options[i] == '\\' && i + 1 < options.size()) ++i;
        words.back() += options[i];
    }
    return words;
}

void add_setting(Parameters& settings, std::string_view assignment) {
    const size_t equals = assignment.find('=');
    if (equals == std::string_view::npos) return;
    std::string name = lower(assignment.substr(0, equals));
    std::replace(name.begin(), name.end(), '-', '_');
    settings.emplace_back(std::move(name), assignment.substr(equals + 1));
}

/// What a startup message sets, names in small letters; the last of several with one name counts.
Parameters settings_of(const Parameters& startup) {
    Parameters settings;
    for (const auto& [name, value] : startup) {
        if (name != "options") continue;
        const auto words = words_of(value);
        for (size_t i = 0; i < words.size(); ++i) {
            const std::string_view word = words[i];
            if (word == "-c") {
                if (++i < words.size()) add_setting(settings, words[i]);
            } else if (word.starts_with("-c") || word.starts_with("--")) {
                add_setting(settings, word.substr(2));
            }
        }
    }
    for (const auto& [name, value] : startup) {
        if (name != "options") settings.emplace_back(lower(name), value);
    }
    return settings;
}

const std::string* find(const Parameters& settings, std::string_view name) {
    const auto found = std::find_if(settings.rbegin(), settings.rend(),
                                    [name](const auto& setting) { return setting.first == name; });
    return found == settings.rend() ? nullptr : &found->second;
}

/// The server reports an encoding by its own name for it.
std::string encoding_name(std::string_view asked) {
    std::string name;
    for (const char c : asked) {
        if (c == '-') continue;
        name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return name == "UNICODE" ? "UTF8" : name;
}

}  // namespace

void guess_reported(Parameters& reported, const Parameters& others, std::string_view others_user,
                    const Parameters& own, std::string_view own_user) {
    const Parameters theirs = settings_of(others);
    const Parameters ours = settings_of(own);
    const std::string* const server_encoding = find(reported, "server_encoding");
    const std::string database_encoding = server_encoding != nullptr ? *server_encoding : "UTF8";
    for (auto& [reported_name, value] : reported) {
        const std::string name = lower(reported_name);
        if (name == "session_authorization") {
            value = own_user;
        } else if (name == "is_superuser") {
            if (others_user != own_user) value = "off";
        } else if (name == "client_encoding") {
            const std::string* const asked = find(ours, name);
            if (asked != nullptr) {
                value = encoding_name(*asked);
            } else if (find(theirs, name) != nullptr) {
                value = database_encoding;
            }
        } else if (const std::string* const asked = find(ours, name)) {
            value = *asked;
        } else if (find(theirs, name) != nullptr) {
            for (const auto& [known, default_value] : defaults) {
                if (known == name) value = default_value;
            }
        }
    }
}

}  // namespace holdfast::postgres
