#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/postgres/conversation.h"
#include "protocol/postgres/messages.h"
#include "protocol/postgres/statements.h"

/// A conversation between a client and two servers, slot a's a primary and slot b's a replica, whose bytes a
/// test writes and reads. Messages are strings, so that they can be joined and compared.
namespace holdfast::postgres::test {

inline std::string message(char type, std::string_view body = {}) {
    ByteBuffer out;
    append_message(out, type, as_bytes(body));
    return std::string(as_text(out));
}

/// Texts, each with the NUL that ends it.
template <typename... Texts>
std::string texts(const Texts&... each) {
    std::string joined;
    ((joined += each, joined += '\0'), ...);
    return joined;
}

// What clients say.
inline std::string query(std::string_view sql) {
    return message('Q', texts(sql));
}
inline std::string parse(std::string_view name, std::string_view sql) {
    return message('P', texts(name, sql) + std::string(2, '\0'));
}
inline std::string bind(std::string_view portal, std::string_view name) {
    return message('B', texts(portal, name) + std::string(6, '\0'));
}
inline std::string describe_statement(std::string_view name) {
    return message('D', "S" + texts(name));
}
inline std::string describe_portal(std::string_view name) {
    return message('D', "P" + texts(name));
}
inline std::string execute(std::string_view portal) {
    return message('E', texts(portal) + std::string(4, '\0'));
}
inline std::string close_statement(std::string_view name) {
    return message('C', "S" + texts(name));
}
inline std::string sync_message() {
    return message('S');
}
/// A statement by the extended protocol, unnamed.
inline std::string batch(std::string_view sql) {
    return parse("", sql) + bind("", "") + execute("") + sync_message();
}

// What servers say.
inline std::string complete(std::string_view tag) {
    return message('C', texts(tag));
}
inline std::string ready(char status = 'I') {
    return message('Z', std::string(1, status));
}
inline std::string row(std::string_view value = "1") {
    return message('D', value);
}
inline std::string row_description() {
    return message('T', std::string(2, '\0'));
}
inline std::string error(std::string_view code, std::string_view text = "no",
                         std::string_view severity = "ERROR") {
    ByteBuffer out;
    append_error(out, severity, code, text);
    return std::string(as_text(out));
}
inline std::string notice(std::string_view code, std::string_view text = "so") {
    ByteBuffer out;
    append_notice(out, "WARNING", code, text);
    return std::string(as_text(out));
}
inline std::string parameter(std::string_view name, std::string_view value) {
    return message('S', texts(name, value));
}

/// "1 2 C SELECT 1|Z I|E 40001": messages, with what tells them apart.
inline std::string told(std::string_view bytes) {
    std::string out;
    while (bytes.size() >= message_header_bytes) {
        const size_t total = load_u32(as_bytes(bytes).data() + 1) + size_t{1};
        const std::string_view body =
            bytes.substr(message_header_bytes, std::min(total, bytes.size()) - message_header_bytes);
        if (!out.empty()) out += '|';
        out += bytes[0];
        if (bytes[0] == 'C' || bytes[0] == 'Z') {
            out += ' ';
            out += body.substr(0, body.find('\0'));
        } else if (bytes[0] == 'E') {
            const auto fields = parse_error_fields(as_bytes(body));
            out += ' ' + (fields ? fields->sqlstate : "?");
        }
        bytes.remove_prefix(std::min(total, bytes.size()));
    }
    if (!bytes.empty()) out += "|…";
    return out;
}

class Lab {
public:
    explicit Lab(const dialect::Identity& identity = {}) : talk(identity, statements, scratch_, {}) {
        talk.slot_opened(Slot::a, false);
        talk.slot_opened(Slot::b, true);
    }

    /// The client sends `bytes`; what can be done with all that is there is done. Units go to `slot`.
    dialect::CutKind send(std::string_view bytes, Slot slot = Slot::a, bool insist = false) {
        client_ += bytes;
        while (!client_.empty()) {
            ByteBuffer out;
            const Bytes in = as_bytes(client_);
            const dialect::Cut cut = talk.cut(in, insist, out);
            last_cut = cut;
            within_bounds = within_bounds && cut.size <= in.size();
            if (!within_bounds) return cut.kind;
            ByteBuffer prefix;
            switch (cut.kind) {
                case dialect::CutKind::begin:
                case dialect::CutKind::go_on:
                    facts = talk.facts();
                    facts_text = facts.text;
                    talk.accept(in.first(cut.size), slot, prefix);
                    prefixes += as_text(prefix);
                    to_server += as_text(prefix);
                    to_server += client_.substr(0, cut.size);
                    unit_bytes = client_.substr(0, cut.size);
                    break;
                case dialect::CutKind::stream: to_server += client_.substr(0, cut.size); break;
                case dialect::CutKind::drop:
                case dialect::CutKind::answer: break;
                case dialect::CutKind::more:
                case dialect::CutKind::patience:
                case dialect::CutKind::terminate:
                case dialect::CutKind::wait:
                case dialect::CutKind::kill:
                case dialect::CutKind::log_in:
                case dialect::CutKind::malformed: return cut.kind;
            }
            to_client += as_text(out);
            client_.erase(0, cut.size);
            if (cut.size == 0) break;
        }
        return last_cut.kind;
    }

    /// The server on `slot` sends `bytes`; what reaches the client is in `to_client`. Returns the last event
    /// that is more than the end of a unit or, with none, what happened last.
    dialect::ScanEvent receive(std::string_view bytes, Slot slot = Slot::a) {
        std::string& in = servers_[dialect::index(slot)];
        in += bytes;
        dialect::ScanEvent event = dialect::ScanEvent::none;
        while (!in.empty()) {
            const dialect::Scan scan = talk.scan(slot, as_bytes(in));
            within_bounds = within_bounds && scan.forward <= scan.consumed && scan.consumed <= in.size();
            if (!within_bounds) return scan.event;
            to_client.append(in, 0, scan.forward);
            in.erase(0, scan.consumed);
            if (scan.event != dialect::ScanEvent::none) event = scan.event;
            if (scan.event == dialect::ScanEvent::unit_done) ++units_done;
            if (scan.event == dialect::ScanEvent::lying || scan.event == dialect::ScanEvent::dying) break;
            if (scan.event == dialect::ScanEvent::none && scan.consumed == 0) break;
        }
        return event;
    }

    /// A whole statement: sent, answered by the server, forgotten.
    void run(std::string_view request, std::string_view answer, Slot slot = Slot::a) {
        send(request, slot);
        receive(answer, slot);
        forget();
    }
    void forget() {
        to_client.clear();
        to_server.clear();
        prefixes.clear();
    }
    std::string take_to_client() { return std::exchange(to_client, {}); }
    std::string take_to_server() { return std::exchange(to_server, {}); }
    size_t unsent() const { return client_.size(); }
    size_t unread(Slot slot) const { return servers_[dialect::index(slot)].size(); }

    /// What brings `slot` to the session's state, as SQL: "SET a = 1; SET b = 2".
    std::string state_for(Slot slot) {
        ByteBuffer out;
        std::string sql;
        if (!talk.synchronise(slot, out)) return sql;
        for (std::string_view rest = as_text(out); rest.size() > message_header_bytes;) {
            const size_t total = load_u32(as_bytes(rest).data() + 1) + size_t{1};
            if (!sql.empty()) sql += "; ";
            sql += rest.substr(message_header_bytes, total - message_header_bytes - 1);
            rest.remove_prefix(total);
        }
        return sql;
    }

    dialect::ClassifierSources sources;
    StatementCache statements{sources};

private:
    CutScratch scratch_;

public:
    Conversation talk;
    std::string to_client;
    std::string to_server;
    std::string prefixes;    // the part of to_server that the proxy put in
    std::string unit_bytes;  // of the last unit, or part of one, that was accepted
    std::string facts_text;
    dialect::UnitFacts facts;  // of the same; its text may be gone
    dialect::Cut last_cut;
    int units_done = 0;
    bool within_bounds = true;  // no more was ever consumed than was there

private:
    std::string client_;
    std::array<std::string, slot_count> servers_;
};

}  // namespace holdfast::postgres::test
