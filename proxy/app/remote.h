#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "config/admin_address.h"
#include "protocol/base/result.h"

namespace holdfast::app {

/// Where the command line finds the running proxy; what is empty is taken from the configuration.
struct RemoteOptions {
    std::string config_file;  // empty: /etc/holdfast/holdfast.toml, where that is there
    std::string socket;
    std::string url;         // http://host:port
    std::string token_file;  // else $HOLDFAST_TOKEN, else the configuration's
};

/// The admin address of a running proxy, over HTTP. Every call blocks: for the command line.
class Remote {
public:
    struct Answer {
        long status = 0;
        nlohmann::json body;
    };

    /// errors  not_found, bad_value: the configuration or the token's file can't be read
    static Result<Remote> find(const RemoteOptions& options);

    /// errors  unreachable: nobody answers there; bad_value: whoever answers is no Holdfast
    Result<Answer> get(const std::string& path) const { return ask(path, nullptr); }
    Result<Answer> post(const std::string& path, const nlohmann::json& body) const {
        return ask(path, &body);
    }
    /// For messages.
    const std::string& where() const { return where_; }

private:
    Result<Answer> ask(const std::string& path, const nlohmann::json* body) const;

    std::string where_;
    std::string url_;     // without a path
    std::string socket_;  // empty: over TCP
    Secret token_;
};

}  // namespace holdfast::app
