#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/limits.h"
#include "protocol/dialect/session_log.h"

/// Settings, savepoints, commits and rollbacks, in a session log and in a plain model that keeps a copy of
/// everything for each level: after each commit both say the same.
/// input   two bytes a step: what, and with which of a few keys
using namespace holdfast;
using sql::Effect;
using sql::EffectKind;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

using State = std::map<std::string, std::string>;  // key: how it is replayed

struct Model {
    State committed;
    State now;
    std::vector<std::pair<std::string, State>> savepoints;

    std::optional<size_t> find(const std::string& name) const {
        for (size_t i = savepoints.size(); i-- > 0;) {
            if (savepoints[i].first == name) return i;
        }
        return std::nullopt;
    }
    void end(bool commits) {
        if (commits) committed = now;
        now = committed;
        savepoints.clear();
    }
};

State state_of(const dialect::SessionLog& log) {
    State state;
    for (const auto& entry : log.entries()) {
        if (entry.key.starts_with("set:") || entry.key.starts_with("listen:")) {
            require(state.emplace(entry.key, entry.replay).second);  // one entry for each key
        }
    }
    return state;
}

void check(const dialect::SessionLog& log) {
    size_t bytes = 0;
    uint64_t version = 0;
    for (const auto& entry : log.entries()) {
        bytes += entry.key.size() + entry.replay.size();
        require(entry.version > version && entry.version <= log.version());
        require(entry.only_after < entry.version);
        version = entry.version;
    }
    require(bytes == log.bytes());
    require(log.entries().size() <= limits::session_state_entries_max + 2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size > 2'000) return 0;  // so that no bound is reached: the model has none
    dialect::SessionLog log;
    Model model;
    std::map<std::string, uint64_t> prepared;  // when
    for (size_t i = 0; i + 1 < size; i += 2) {
        const std::string name(1, static_cast<char>('a' + data[i + 1] % 8));
        const std::string value = std::to_string(i);
        const uint64_t before = log.version();
        switch (data[i] % 12) {
            case 0:
            case 1:
                log.record({EffectKind::set, name, "SET " + name + " = " + value});
                model.now["set:" + name] = "SET " + name + " = " + value;
                break;
            case 2:
                log.record({EffectKind::listen, name, "LISTEN " + name});
                model.now["listen:" + name] = "LISTEN " + name;
                break;
            case 3:
                log.record({EffectKind::unlisten, name, {}});
                model.now.erase("listen:" + name);
                break;
            case 4:
                log.record({EffectKind::reset_all, {}, "RESET ALL"});
                std::erase_if(model.now, [](const auto& each) { return each.first.starts_with("set:"); });
                model.now["set:*"] = "RESET ALL";
                break;
            case 5:
                log.savepoint(name);
                model.savepoints.emplace_back(name, model.now);
                break;
            case 6:
                log.release(name);
                // Of an unknown name the server says that there is none, and the log is not asked.
                if (const auto at = model.find(name)) {
                    model.savepoints.resize(*at);
                } else {
                    model.savepoints.clear();  // … but if it is, all marks are gone
                }
                break;
            case 7:
                log.rollback_to(name);
                if (const auto at = model.find(name)) {
                    model.now = model.savepoints[*at].second;
                    model.savepoints.resize(*at + 1);
                }
                break;
            case 8:
                log.commit();
                model.end(true);
                require(state_of(log) == model.committed);
                break;
            case 9:
                log.rollback();
                model.end(false);
                require(log.version() == before && state_of(log) == model.committed);
                break;
            case 10:
                log.record_now({EffectKind::prepare, name, "PREPARE " + name + " AS SELECT 1"});
                prepared[name] = log.version();
                break;
            case 11:
                log.record_now({EffectKind::deallocate, name, {}});
                if (prepared.erase(name) == 0) require(log.version() == before);
                if ((data[i] & 1) == 0) log.forget_deallocated({before, 0});
                break;
        }
        check(log);
    }
    require(!log.take_loss());
    log.forget_deallocated({log.version(), 0});
    for (const auto& entry : log.entries()) require(entry.only_after == 0);
    check(log);
    return 0;
}
