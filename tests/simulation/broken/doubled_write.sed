# protocol/postgres/conversation_requests.cc
s/^    if \(statement\.destination != Destination::primary\) return true;$/    return true;/
