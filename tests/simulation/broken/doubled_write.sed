# protocol/postgres/conversation_requests.cc
s/^    unit\.rerunnable = unit\.rerunnable && facts\.rerunnable;$/    (void)facts.rerunnable;/
