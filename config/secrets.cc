#include "config/secrets.h"

#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

#include "config/text.h"
#include "config/units.h"

namespace holdfast::config {
namespace {

/// PostgreSQL itself takes no longer password; certificates and keys do not belong here.
constexpr size_t secret_file_bytes_max = 65'536;
constexpr unsigned readable_by_others = 0004;

constexpr std::array<std::string_view, 3> source_kinds{"file", "env", "credential"};

/// What is left after the line ends that editors and `echo` add. Reports what no password holds.
std::optional<Secret> accept(Context& context, Position at, const std::string& path, std::string text) {
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    Secret secret{std::move(text)};
    if (secret.empty()) {
        context.error(at, path + ": the secret is empty");
        return std::nullopt;
    }
    if (secret.reveal().find_first_of(std::string_view("\0\n\r", 3)) != std::string_view::npos) {
        context.error(at, path + ": the secret has more than one line, or a zero byte in it");
        return std::nullopt;
    }
    return secret;
}

std::optional<Secret> read_secret_file(Context& context, Position at, const std::string& path,
                                       const std::string& file) {
    auto content = context.environment().read_file(file, secret_file_bytes_max);
    if (!content) {
        context.error(at, path + ": can't read " + quote(file) + ": " + content.error().message);
        return std::nullopt;
    }
    const auto permissions = context.environment().permissions(file);
    if (permissions && (*permissions & readable_by_others) != 0) {
        context.warning(at, path + ": every account of this machine can read the secret in " + quote(file) +
                                "; run: chmod o-rwx " + file);
    }
    return accept(context, at, path, std::move(*content));
}

std::optional<Secret> read_variable(Context& context, Position at, const std::string& path,
                                    const std::string& name) {
    auto content = context.environment().variable(name);
    if (!content) {
        context.error(at, path + ": the environment variable " + quote(name) + " is not set");
        return std::nullopt;
    }
    return accept(context, at, path, std::move(*content));
}

std::optional<Secret> read_credential(Context& context, Position at, const std::string& path,
                                      const std::string& name) {
    if (name.find('/') != std::string::npos || name == "..") {
        context.error(at, path + ": a credential has a name, not a path; for a path use { file = ... }");
        return std::nullopt;
    }
    const auto folder = context.environment().variable("CREDENTIALS_DIRECTORY");
    if (!folder) {
        context.error(at, path +
                              ": there are no credentials: $CREDENTIALS_DIRECTORY is not set; it is set by "
                              "systemd when the unit has LoadCredential=" +
                              name + ":FILE");
        return std::nullopt;
    }
    return read_secret_file(context, at, path, *folder + "/" + name);
}

bool is_base64(std::string_view text) {
    if (text.empty() || text.size() % 4 != 0) return false;
    for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
    for (const char c : text) {
        const bool is_digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                              c == '+' || c == '/';
        if (!is_digit) return false;
    }
    return true;
}

/// 32 bytes make 44 characters, the last of them '='.
bool is_base64_key(std::string_view text) {
    return text.size() == 44 && is_base64(text) && text[43] == '=' && text[42] != '=';
}

}  // namespace

std::optional<Secret> read_secret(Context& context, const Node& value, const std::string& path) {
    constexpr std::string_view forms = "a text, { file = ... }, { env = ... } or { credential = ... }";
    if (value.kind == Node::Kind::text) {
        context.note_inline_secret(value.at);
        return accept(context, value.at, path, value.text);
    }
    if (value.kind != Node::Kind::table) {
        context.error(value.at, path + ": expected " + std::string(forms) + ", found " +
                                    std::string(describe(value.kind)));
        return std::nullopt;
    }
    bool is_known = true;
    for (const Entry& entry : value.entries) {
        if (entry.key == "file" || entry.key == "env" || entry.key == "credential") continue;
        is_known = false;
        const std::string_view near = nearest(entry.key, source_kinds);
        context.error(entry.at, "unknown key " + quote(entry.key) + " in " + path + "; " +
                                    (near.empty() ? "a secret is " + std::string(forms)
                                                  : "did you mean " + quote(near) + "?"));
    }
    if (!is_known) return std::nullopt;
    if (value.entries.size() != 1) {
        context.error(value.at, path + ": expected exactly one of file, env and credential");
        return std::nullopt;
    }
    const Entry& source = value.entries[0];
    const Node& where = source.value;
    const bool is_name =
        where.kind == Node::Kind::text && !where.text.empty() && where.text.find('\0') == std::string::npos;
    if (!is_name) {
        context.error(where.at,
                      path + "." + source.key + ": expected a text in quotes that is not empty" +
                          (where.kind == Node::Kind::text ? "" : ", found ") +
                          (where.kind == Node::Kind::text ? "" : std::string(describe(where.kind))));
        return std::nullopt;
    }
    if (source.key == "file") return read_secret_file(context, where.at, path, context.resolve(where.text));
    if (source.key == "env") return read_variable(context, where.at, path, where.text);
    return read_credential(context, where.at, path, where.text);
}

bool is_scram_verifier(std::string_view text) {
    constexpr std::string_view method = "SCRAM-SHA-256$";
    constexpr uint64_t iterations_max = 2'147'483'647;
    if (!text.starts_with(method)) return false;
    const auto halves = split(text.substr(method.size()), '$');
    if (halves.size() != 2) return false;
    const auto salting = split(halves[0], ':');
    const auto keys = split(halves[1], ':');
    if (salting.size() != 2 || keys.size() != 2) return false;
    const auto iterations = parse_number(salting[0]);
    return iterations && *iterations >= 1 && *iterations <= iterations_max && is_base64(salting[1]) &&
           is_base64_key(keys[0]) && is_base64_key(keys[1]);
}

bool is_md5_hash(std::string_view text) {
    return text.size() == 35 && text.starts_with("md5") &&
           text.substr(3).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace holdfast::config
