#pragma once

#include <string>
#include <string_view>

#include "protocol/base/secret.h"
#include "proxy/admin/control.h"
#include "proxy/admin/request.h"

namespace holdfast::admin {

/// Answers a request to /api/v1/…, described by openapi.json there. What changes something needs the token in
/// `Authorization: Bearer …`, unless the request came in over the Unix socket; with an empty token it is
/// refused over TCP. /api/v1/token says whether one is right. Bodies and answers are JSON objects.
/// spec    RFC 6750, 2.1; proxy/admin/web/openapi.json
void answer_api(const Request& request, const Secret& token, Control& control, const Reply& reply);

/// The description of the API (OpenAPI 3.1), as a JSON text.
std::string_view openapi_text();

}  // namespace holdfast::admin
