# proxy/engine/session_responses.cc
s/^    lose_slot\(slot, reason\);$/    close(CloseReason::internal, reason);/
