# proxy/engine/router.cc
s/^    return server\.readable \&\& server\.position\.covers\(required\);$/    return server.readable \&\& required.lsn + 1 > 0;/
