#include <algorithm>
#include <string>
#include <vector>

#include "config/keys.h"
#include "config/text.h"

namespace holdfast::config {
namespace {

std::string_view type_name(Type type) {
    switch (type) {
        case Type::table: return "table";
        case Type::named_tables: return "tables by name";
        case Type::tables: return "array of tables";
        case Type::servers: return "array of texts or tables";
        case Type::lag: return "duration or table";
        case Type::text: return "text";
        case Type::texts: return "text or array of texts";
        case Type::file: return "file";
        case Type::pattern: return "regular expression";
        case Type::integer: return "integer";
        case Type::boolean: return "boolean";
        case Type::duration: return "duration";
        case Type::size: return "size";
        case Type::choice: return "choice";
        case Type::secret: return "secret";
    }
    return "";
}

bool is_written_bare(Type type) {
    return type == Type::integer || type == Type::boolean;
}

std::string_view reload_cell(Reload reload) {
    switch (reload) {
        case Reload::hot: return "applied";
        case Reload::restart: return "needs a restart";
        case Reload::refused: return "refused";
    }
    return "";
}

std::string fallback_cell(const Key& key) {
    if (key.fallback.empty()) return "";
    const std::string text{key.fallback};
    return is_written_bare(key.type) ? "`" + text + "`" : "`\"" + text + "\"`";
}

std::string allowed_cell(const Key& key) {
    std::string out;
    switch (key.type) {
        case Type::choice:
            for (const std::string_view choice : split(key.allowed, '|')) {
                out += (out.empty() ? "`" : ", `") + std::string(choice) + "`";
            }
            return out;
        case Type::boolean: return "`true`, `false`";
        case Type::integer:
        case Type::duration:
        case Type::size:
            out = key.allowed;
            out.replace(out.find(".."), 2, " to ");
            return out;
        default: return std::string(key.allowed);
    }
}

/// How a table's heading is written in a file: cluster.*.listener[] is [[cluster.NAME.listener]].
std::string heading(std::string_view table) {
    std::string name{table};
    const bool is_array = name.ends_with("[]");
    for (size_t at = name.find("[]"); at != std::string::npos; at = name.find("[]")) name.erase(at, 2);
    for (size_t at = name.find('*'); at != std::string::npos; at = name.find('*'))
        name.replace(at, 1, "NAME");
    return is_array ? "[[" + name + "]]" : "[" + name + "]";
}

/// The meaning of a table stands in the row of the key that opens it.
std::string_view meaning_of(std::string_view table) {
    if (table.ends_with("[]")) table.remove_suffix(2);
    for (const Key& key : all_keys()) {
        if (key.path == table) return key.meaning;
    }
    return {};
}

std::string section(std::string_view table) {
    std::string out = "\n## `" + heading(table) + "`\n\n" + std::string(meaning_of(table)) + "\n\n";
    out += "| key | type | default | allowed | meaning | since | on reload |\n";
    out += "| --- | --- | --- | --- | --- | --- | --- |\n";
    for (const Key& key : all_keys()) {
        if (key.table() != table) continue;
        out += "| `" + std::string(key.name()) + "` | " + std::string(type_name(key.type)) + " | " +
               fallback_cell(key) + " | " + allowed_cell(key) + " | " + std::string(key.meaning) +
               (key.inherit == Inherit::yes ? " *Inherited.*" : "") + " | " + std::string(key.since) + " | " +
               std::string(reload_cell(key.reload)) + " |\n";
    }
    return out;
}

constexpr std::string_view introduction = R"(# Configuration reference

Made from `config/keys.cc`, the table that the loader itself uses. `holdfast.example.toml` shows the settings in
use. The file is [TOML](https://toml.io/en/v1.0.0); an unknown key is an error.

- A **duration** is a whole number and its unit: `"500ms"`, `"5s"`, `"2m"`, `"1h"`.
- A **size** is a whole number and its unit: `B`, `kB`, `MB`, `GB`, `TB` (thousands), `KiB`, `MiB`, `GiB`, `TiB`
  (1024s).
- A **secret** is a text, or says where it is: `{ file = "/etc/holdfast/shop.pw" }`, `{ env = "SHOP_PASSWORD" }`, or
  `{ credential = "shop" }` for a file of that name in systemd's `$CREDENTIALS_DIRECTORY`. Line ends behind it do not
  count.
- The path of a **file** that is not absolute starts at the folder of the configuration file.
- What is *inherited* may stand in `[defaults]` for all clusters.
)";

}  // namespace

std::string reference_markdown() {
    std::string out{introduction};
    std::vector<std::string_view> tables;
    for (const Key& key : all_keys()) {
        const std::string_view table = key.table();
        if (table.empty() || std::find(tables.begin(), tables.end(), table) != tables.end()) continue;
        // The table of clusters has no settings, only names.
        if (table == "cluster") continue;
        tables.push_back(table);
    }
    for (const std::string_view table : tables) out += section(table);
    out += "\n## `[defaults]`\n\n" + std::string(meaning_of("defaults")) + "\n";
    return out;
}

}  // namespace holdfast::config
