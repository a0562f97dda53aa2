#include "health/gtid.h"

#include <doctest/doctest.h>

#include "health/gtid_history.h"
#include "protocol/base/limits.h"

using namespace holdfast;
using namespace holdfast::health;

namespace {

const std::string a = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const std::string b = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

GtidSet mariadb(std::string_view text) {
    const auto set = GtidSet::parse_mariadb(text);
    REQUIRE(set);
    return *set;
}
GtidSet mysql(std::string_view text) {
    const auto set = GtidSet::parse_mysql(text);
    REQUIRE(set);
    return *set;
}

}  // namespace

TEST_CASE("gtid: MariaDB's positions are read and written") {
    CHECK(mariadb("").empty());
    CHECK(mariadb("0-1-100").text() == "0-1-100");
    CHECK(mariadb(" 0-1-100 ,\n 7-3-18446744073709551615").text() == "0-1-100,7-3-18446744073709551615");
    CHECK(mariadb("0-1-100,0-2-90,0-3-101").text() == "0-3-101");
    for (const char* text : {"0", "0-1", "0-1-", "0-1-x", "-1-1", "0-1-1-1", "4294967296-1-1", "0-1-1,,0-2-2",
                             "0-1-18446744073709551616"}) {
        CAPTURE(text);
        CHECK_FALSE(GtidSet::parse_mariadb(text));
    }
}

TEST_CASE("gtid: a MariaDB position covers lower numbers of all its domains") {
    CHECK(mariadb("0-1-100").covers(mariadb("0-1-100")));
    CHECK(mariadb("0-2-101").covers(mariadb("0-1-100")));
    CHECK_FALSE(mariadb("0-1-99").covers(mariadb("0-1-100")));
    CHECK_FALSE(mariadb("0-1-100").covers(mariadb("0-1-100,1-1-1")));
    CHECK(mariadb("0-1-100,1-1-1").covers(mariadb("0-1-100")));
    CHECK(mariadb("0-1-1").covers(mariadb("")));
    CHECK_FALSE(mariadb("").covers(mariadb("0-1-1")));
}

TEST_CASE("gtid: the same number by another server is another transaction") {
    CHECK_FALSE(mariadb("0-2-100").covers(mariadb("0-1-100")));
}

TEST_CASE("gtid: MariaDB's positions are joined by the later one of each domain") {
    GtidSet set = mariadb("0-1-100,1-1-5");
    set.join(mariadb("0-2-101,1-9-4,2-1-1"));
    CHECK(set.text() == "0-2-101,1-1-5,2-1-1");
    set.join_unknown(mariadb("0-3-900,3-3-3"));
    CHECK(set.text() == "0-2-101,1-1-5,2-1-1,3-3-3");
}

TEST_CASE("gtid: MySQL's sets are read, merged and written") {
    CHECK(mysql("").empty());
    CHECK(mysql(a + ":1").text() == a + ":1");
    CHECK(mysql(a + ":1-5:6-7:9,\n" + b + ":3").text() == a + ":1-7:9," + b + ":3");
    CHECK(mysql(a + ":9:1-3:2-4").text() == a + ":1-4:9");
    CHECK(mysql("3E11FA47-71CA-11E1-9E33-C80AA9429562:1-2").text() == a + ":1-2");
    CHECK(mysql(a + ":1-5:blue:1-3:7," + a + ":6").text() == a + ":1-6," + a + ":blue:1-3:7");
    for (const std::string& text : {a, a + ":", a + ":0", a + ":5-4", a + ":1-", a + ":x-2", a + ":blue",
                                    a + ":blue:", std::string("1-2"), a + ":1:-3",
                                    std::string("3e11fa47x71ca-11e1-9e33-c80aa9429562:1")}) {
        CAPTURE(text);
        CHECK_FALSE(GtidSet::parse_mysql(text));
    }
}

TEST_CASE("gtid: a MySQL set covers another only without gaps") {
    CHECK(mysql(a + ":1-10").covers(mysql(a + ":2-3:5-10")));
    CHECK_FALSE(mysql(a + ":1-4:6-10").covers(mysql(a + ":1-10")));
    CHECK_FALSE(mysql(a + ":1-10").covers(mysql(a + ":1-10," + b + ":1")));
    CHECK_FALSE(mysql(a + ":1-10").covers(mysql(a + ":blue:1")));
    // A transaction of its own does not stand for one that it lacks.
    CHECK_FALSE(mysql(a + ":1-9," + b + ":1").covers(mysql(a + ":1-10")));
}

TEST_CASE("gtid: intervals at the end of the range merge") {
    CHECK(mysql(a + ":18446744073709551615:18446744073709551614").text() ==
          a + ":18446744073709551614-18446744073709551615");
    CHECK(mysql(a + ":1-18446744073709551615:7").text() == a + ":1-18446744073709551615");
}

TEST_CASE("gtid: a set is bounded") {
    std::string text = a;
    for (size_t i = 0; i <= limits::gtid_intervals_max; ++i) text += ":" + std::to_string(2 * i + 1);
    CHECK(GtidSet::parse_mysql(text).error().code == ErrorCode::limit_exceeded);
    CHECK(GtidSet::parse_mariadb(std::string(limits::gtid_set_bytes_max + 1, ' ')).error().code ==
          ErrorCode::limit_exceeded);
}

TEST_CASE("gtid history: sets of the primary get growing ordinals, replicas the newest that they cover") {
    GtidHistory history;
    CHECK_FALSE(history.find(mariadb("0-1-100")));
    const Position first = history.add(mariadb("0-1-100"));
    CHECK(history.add(mariadb("0-1-100")) == first);
    const Position second = history.add(mariadb("0-1-200"));
    CHECK(second > first);
    CHECK(history.find(mariadb("0-1-150")) == first);
    CHECK(history.find(mariadb("0-1-200")) == second);
    CHECK(history.find(mariadb("0-1-900")) == second);
    CHECK_FALSE(history.find(mariadb("0-1-99")));
}

TEST_CASE("gtid history: what the next primary lacks is forgotten, and numbers go on") {
    GtidHistory history;
    const Position kept = history.add(mariadb("0-1-100"));
    const Position lost = history.add(mariadb("0-1-200"));
    const Position next = history.add(mariadb("0-2-151"));
    CHECK(next > lost);
    CHECK(history.find(mariadb("0-1-150")) == kept);
    CHECK(history.find(mariadb("0-1-200")) == next);  // by its number; MariaDB shows no more
    CHECK_FALSE(history.find(mariadb("0-1-99")));
}

TEST_CASE("gtid history: is bounded, and old samples stay in part") {
    GtidHistory history;
    for (int i = 1; i <= 10'000; ++i) history.add(mariadb("0-1-" + std::to_string(i)));
    CHECK(history.find(mariadb("0-1-10000")).lsn == 10'000);
    CHECK(history.find(mariadb("0-1-9990")).lsn == 9'990);
    CHECK(history.find(mariadb("0-1-1")).lsn == 1);
    const Position old = history.find(mariadb("0-1-5000"));
    CHECK(old.lsn >= 1);  // the older, the coarser
    CHECK(old.lsn <= 5'000);
}
