#include "config/section.h"

#include <cstdlib>
#include <utility>

#include "config/text.h"

namespace holdfast::config {
namespace {

std::string join(std::string_view table, std::string_view name) {
    if (table.empty()) return std::string(name);
    return std::string(table) + "." + std::string(name);
}

/// How the operator knows a table: "cluster.*.routing" within "cluster.shop" is cluster.shop.routing.
std::string fill_in(std::string_view pattern, std::string_view cluster) {
    std::string out{pattern};
    const size_t star = out.find('*');
    if (star != std::string::npos) out.replace(star, 1, cluster);
    for (size_t at = out.find("[]"); at != std::string::npos; at = out.find("[]")) out.erase(at, 2);
    return out;
}

}  // namespace

Section::Section(Context& context, const Node& document)
    : Section(context, &document, {}, {}, {}, Scope::cluster, Absent::keep) {}

Section::Section(Context& context, const Node* node, std::string pattern, std::string path, Position at,
                 Scope scope, Absent absent)
    : context_(&context),
      node_(node),
      pattern_(std::move(pattern)),
      path_(std::move(path)),
      at_(at),
      scope_(scope),
      absent_(absent) {
    if (node_ != nullptr) report_unknown_keys();
}

bool Section::is_accepted(const Key& key) const {
    return scope_ == Scope::cluster || key.inherit == Inherit::yes;
}

void Section::report_unknown_keys() const {
    const std::string where = path_.empty() ? "at the top of the file" : "in " + path_;
    for (const Entry& entry : node_->entries) {
        const Key* key = find_key(pattern_, entry.key);
        if (key == nullptr) {
            // Advice is costly; past the bound nobody would see it.
            const std::string advice = context_->is_full() ? "" : advice_for(entry.key);
            context_->error(entry.at, "unknown key " + quote(entry.key) + " " + where + advice);
        } else if (!is_accepted(*key)) {
            context_->error(entry.at,
                            quote(entry.key) + " can't be inherited; set it in each [cluster.NAME]");
        }
    }
}

std::string Section::advice_for(std::string_view unknown) const {
    std::vector<std::string_view> siblings;
    for (const Key& key : all_keys()) {
        if (key.table() == pattern_ && is_accepted(key)) siblings.push_back(key.name());
    }
    const std::string_view near = nearest(unknown, siblings);
    if (!near.empty()) return "; did you mean " + quote(near) + "?";
    for (const Key& key : all_keys()) {
        // Keys of some name are found only in the same cluster: those above and below this table.
        if (key.name() != unknown || key.table().empty() || !is_accepted(key)) continue;
        const bool is_related = key.path.starts_with("cluster.*.") == pattern_.starts_with("cluster.*");
        if (!is_related) continue;
        std::string cluster = "NAME";
        if (pattern_.starts_with("cluster.*") && scope_ == Scope::cluster) {
            const size_t begin = std::string_view("cluster.").size();
            cluster = path_.substr(begin, path_.find('.', begin) - begin);
        }
        std::string home = fill_in(key.table(), cluster);
        if (scope_ == Scope::defaults) home.replace(0, std::string_view("cluster.NAME").size(), "defaults");
        return "; it belongs in " + home;
    }
    if (siblings.empty()) return {};
    std::string known;
    for (const std::string_view name : siblings) known += (known.empty() ? "" : ", ") + std::string(name);
    return "; known here: " + known;
}

const Key& Section::row(std::string_view name) const {
    const Key* key = find_key(pattern_, name);
    if (key == nullptr) std::abort();
    return *key;
}

const Node* Section::value(std::string_view name) const {
    if (node_ == nullptr || !is_accepted(row(name))) return nullptr;
    const Entry* entry = node_->find(name);
    return entry == nullptr ? nullptr : &entry->value;
}

bool Section::has(std::string_view name) const {
    return value(name) != nullptr;
}

Position Section::at(std::string_view name) const {
    const Node* node = value(name);
    return node == nullptr ? at_ : node->at;
}

bool Section::require(std::string_view name, std::string_view advice) const {
    if (has(name)) return true;
    context_->error(at_, path_ + ": " + quote(name) + " is missing; write " + std::string(advice));
    return false;
}

std::string Section::path_of(std::string_view name) const {
    return join(path_, name);
}

void Section::error(std::string_view name, std::string_view message) const {
    context_->error(at(name), path_of(name) + ": " + std::string(message));
}

void Section::warning(std::string_view name, std::string_view message) const {
    context_->warning(at(name), path_of(name) + ": " + std::string(message));
}

Section Section::with_fallbacks() const {
    Section copy = *this;  // not made anew: that would report its unknown keys again
    copy.absent_ = Absent::fallback;
    return copy;
}

Section Section::table(std::string_view name) const {
    const Node* node = value(name);
    (void)row(name);
    if (node != nullptr && node->kind != Node::Kind::table) {
        wrong_type(name, *node, "a table");
        node = nullptr;
    }
    return {*context_, node, join(pattern_, name), path_of(name), at(name), scope_, absent_};
}

Section Section::defaults() const {
    const Node* node = value("defaults");
    if (node != nullptr && node->kind != Node::Kind::table) {
        wrong_type("defaults", *node, "a table");
        node = nullptr;
    }
    return {*context_, node, "cluster.*", "defaults", at("defaults"), Scope::defaults, Absent::fallback};
}

std::vector<Section::Named> Section::names(std::string_view name) const {
    std::vector<Named> out;
    const Node* node = value(name);
    if (node == nullptr || (node->kind == Node::Kind::table && node->entries.empty())) {
        const std::string path = path_of(name);
        context_->error(at(name), "there is no " + path + "; add one: [" + path + ".NAME]");
        return out;
    }
    if (node->kind != Node::Kind::table) {
        wrong_type(name, *node, "tables, each with a name: [" + path_of(name) + ".NAME]");
        return out;
    }
    for (const Entry& entry : node->entries) {
        if (entry.value.kind == Node::Kind::table) {
            out.push_back({entry.key, entry.value.at, &entry.value});
        } else {
            context_->error(entry.at, path_of(name) + " holds only tables, each with a name: [" +
                                          path_of(name) + ".NAME]; found " + quote(entry.key) + " with " +
                                          std::string(describe(entry.value.kind)));
        }
    }
    return out;
}

Section Section::named(std::string_view name, const Named& child) const {
    return {*context_,
            child.node,
            join(join(pattern_, name), "*"),
            join(path_of(name), printable(child.name)),
            child.at,
            scope_,
            absent_};
}

std::vector<const Node*> Section::items(std::string_view name) const {
    std::vector<const Node*> out;
    const Node* node = value(name);
    if (node == nullptr) return out;
    if (node->kind != Node::Kind::array) {
        wrong_type(name, *node, "an array: " + std::string(name) + " = [ ... ]");
        return out;
    }
    for (const Node& item : node->items) out.push_back(&item);
    return out;
}

Section Section::element(std::string_view name, size_t index, const Node& node) const {
    return {*context_,
            &node,
            join(pattern_, name) + "[]",
            path_of(name) + "[" + std::to_string(index + 1) + "]",
            node.at,
            scope_,
            Absent::fallback};
}

std::vector<Section> Section::tables(std::string_view name) const {
    std::vector<Section> out;
    const Node* node = value(name);
    if (node == nullptr) return out;
    if (node->kind != Node::Kind::array) {
        wrong_type(name, *node, "an array of tables: [[" + fill_in(path_of(name), "") + "]]");
        return out;
    }
    size_t index = 0;
    for (const Node& item : node->items) {
        if (item.kind == Node::Kind::table) {
            out.push_back(element(name, index, item));
        } else {
            context_->error(item.at,
                            path_of(name) + ": expected a table, found " + std::string(describe(item.kind)));
        }
        ++index;
    }
    return out;
}

void Section::wrong_type(std::string_view name, const Node& found, std::string_view expected) const {
    context_->error(found.at, path_of(name) + ": expected " + std::string(expected) + ", found " +
                                  std::string(describe(found.kind)));
}

void Section::out_of_range(std::string_view name, const Node& found, std::string_view text) const {
    std::string range{row(name).allowed};
    range.replace(range.find(".."), 2, " to ");
    context_->error(found.at,
                    path_of(name) + ": " + std::string(text) + " is out of range; allowed is " + range);
}

}  // namespace holdfast::config
