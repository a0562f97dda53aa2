# protocol/mysql/conversation_requests.cc
# --protocol mysql
s/^    unit\.rerunnable = facts\.rerunnable \&\& !stream_under_way\(\);$/    unit.rerunnable = !stream_under_way();/
