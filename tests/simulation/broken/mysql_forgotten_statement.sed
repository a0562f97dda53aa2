# protocol/mysql/conversation_statements.cc
# --protocol mysql
s/^    return prepared\.server_id\[i\] != 0 \&\& prepared\.generation\[i\] == slots_\[i\]\.generation;$/    return prepared.server_id[i] != 0;/
