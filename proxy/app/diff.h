#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "config/compare.h"

namespace holdfast::app {

enum class Form { table, json };

/// Prints what differs between two configurations. table: a line each, with '~', '+' or '-' before it; what
/// came or went as a whole is one line with the settings that are not the defaults. json: one object,
/// {"changes": [{"path", "kind", "before", "after", "reload"}]}, with each setting by itself.
void print_changes(const std::vector<config::Change>& changes, Form form, std::ostream& out);

/// The same list as JSON.
nlohmann::json changes_json(const std::vector<config::Change>& changes);

struct DiffOptions {
    std::string config_file;
    std::string against;  // another file, which is taken for the one in use
    bool json = false;
};

/// `holdfast diff`: what `config_file` changes, compared with the other. What is wrong with one of them goes
/// to `err`. Returns the exit code, as diff(1) has it: 0: nothing; 1: something; 2: one can't be read.
int diff(const DiffOptions& options, std::ostream& out, std::ostream& err);

}  // namespace holdfast::app
