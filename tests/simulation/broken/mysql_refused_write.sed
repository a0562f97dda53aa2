# protocol/mysql/conversation_errors.cc
# --protocol mysql
s/^            if \(is_demoted \&\& units_\.size\(\) == 1 \&\&/            if (is_demoted \&\& units_.size() == 0 \&\&/
