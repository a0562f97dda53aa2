#include "config/compare.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "config/flatten.h"
#include "config/text.h"

namespace holdfast::config {
namespace {

/// One side of a comparison.
struct Side {
    explicit Side(const Settings& settings) : items(items_of(settings)) {
        for (const Item& item : items) {
            by_path.emplace(item.path, &item);
            elements.insert(item.elements.begin(), item.elements.end());
        }
    }
    const Item* find(const std::string& path) const {
        const auto found = by_path.find(path);
        return found == by_path.end() ? nullptr : found->second;
    }
    /// The outermost element of `item`, which is the other side's, that this side lacks.
    std::string lacking(const Item& item) const {
        const auto found = std::find_if(item.elements.begin(), item.elements.end(),
                                        [&](const std::string& each) { return !elements.contains(each); });
        return found == item.elements.end() ? "" : *found;
    }

    std::vector<Item> items;
    std::map<std::string_view, const Item*> by_path;
    std::set<std::string> elements;
};

/// Whether those that both lists of servers name stand in the same order: that some came or went shows at
/// them.
bool is_same_order(const std::string& before, const std::string& after) {
    const auto common = [](const std::string& of, const std::string& with) {
        const auto all = split(of, ',');
        const auto others = split(with, ',');
        std::vector<std::string_view> out;
        for (const std::string_view name : all) {
            const auto is_same = [&](std::string_view other) { return trim(other) == trim(name); };
            if (std::any_of(others.begin(), others.end(), is_same)) out.push_back(trim(name));
        }
        return out;
    };
    return common(before, after) == common(after, before);
}

bool is_same(const Item& before, const Item& after) {
    if (before.key->type == Type::servers) return is_same_order(before.value, after.value);
    if (before.secret != nullptr) return *before.secret == *after.secret;
    return before.value == after.value && before.digest == after.digest;
}

Change change_of(const Item& before, const Item& after) {
    Change change{Change::Kind::changed, after.path, before.value, after.value, {}, after.key,
                  after.key->reload};
    // Servers keep the places that they have while the process runs.
    if (after.key->type == Type::servers) change.reload = Reload::restart;
    if (before.value == after.value && after.key->type == Type::file) change.after += " (new content)";
    return change;
}

}  // namespace

std::vector<Change> compare(const Settings& before, const Settings& after) {
    const Side old{before};
    const Side next{after};
    std::vector<Change> out;
    for (const Item& item : next.items) {
        const Item* was = old.find(item.path);
        if (was == nullptr) {
            out.push_back(
                {Change::Kind::added, item.path, {}, item.value, old.lacking(item), item.key, Reload::hot});
        } else if (!is_same(*was, item)) {
            out.push_back(change_of(*was, item));
        }
    }
    for (const Item& item : old.items) {
        if (next.find(item.path) != nullptr) continue;
        out.push_back(
            {Change::Kind::removed, item.path, item.value, {}, next.lacking(item), item.key, Reload::hot});
    }
    return out;
}

std::string summarise(const std::vector<Change>& changes, size_t bytes_max) {
    std::vector<std::string> words;
    for (const Change& change : changes) {
        std::string word = change.with.empty() ? change.path : change.with;
        if (change.kind == Change::Kind::added) word.insert(0, "+");
        if (change.kind == Change::Kind::removed) word.insert(0, "-");
        if (words.empty() || words.back() != word) words.push_back(std::move(word));
    }
    std::string out;
    for (size_t i = 0; i < words.size(); ++i) {
        if (out.size() + words[i].size() + 2 > bytes_max) {
            return out + (out.empty() ? "" : ", ") + std::to_string(words.size() - i) + " more";
        }
        out += (out.empty() ? "" : ", ") + words[i];
    }
    return out;
}

}  // namespace holdfast::config
