#pragma once

#include <string>
#include <string_view>

namespace holdfast::admin {

/// Compresses a text for `Content-Encoding: gzip`, for speed rather than size. Some milliseconds for a
/// megabyte: not for the event loop. Empty when there is no memory for it.
std::string gzip(std::string_view text);

/// Whether a value of Accept-Encoding takes gzip by name.
bool accepts_gzip(std::string_view accept_encoding);

}  // namespace holdfast::admin
