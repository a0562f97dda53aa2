#!/usr/bin/perl
# DBD::MariaDB: statements prepared by the client and on the server, transactions, errors, procedures, LOCAL INFILE.
# Connects as MYSQL_HOST, MYSQL_PORT … say. Prints "ok" at the end; anything unexpected is fatal.
use strict;
use warnings;
use utf8;
use DBI;
use File::Temp;

my $table = $ENV{TEST_TABLE};
my $tls = $ENV{CONNECT_TLS} ? ';mariadb_ssl=1;mariadb_ssl_optional=1' : '';
my $compressed = $ENV{CONNECT_COMPRESSED} ? ';mariadb_compression=1' : '';

sub check { my ($what, $condition) = @_; die "not so: $what" unless $condition }

for my $prepared (0, 1) {
    my $db = DBI->connect("DBI:MariaDB:host=$ENV{MYSQL_HOST};port=$ENV{MYSQL_PORT};database=$ENV{MYSQL_DATABASE}$tls$compressed"
            . ";mariadb_local_infile=1", $ENV{MYSQL_USER}, $ENV{MYSQL_PWD},
        { RaiseError => 1, PrintError => 0, mariadb_server_prepare => $prepared });
    $db->do("DELETE FROM $table");

    my $insert = $db->prepare("INSERT INTO $table (id, v, b, at, n) VALUES (?, ?, ?, ?, ?)");
    $insert->bind_param(3, "\0\xff'\\\n", DBI::SQL_BLOB);
    $insert->execute($_, "zwölf €$_", "\0\xff'\\\n", '2024-02-29 12:34:56.789', 12.5) for 1 .. 20;
    $insert->execute(21, undef, undef, undef, undef);

    my $select = $db->prepare("SELECT v, b, at, n FROM $table WHERE id = ?");
    for my $id (1 .. 20) {
        my ($v, $b, $at, $n) = $db->selectrow_array($select, undef, $id);
        check("row $id", $v eq "zwölf €$id" && $b eq "\0\xff'\\\n" && $at =~ /^2024-02-29 12:34:56\.789/ && $n == 12.5);
    }
    check('NULL', !defined($db->selectrow_array($select, undef, 21)));

    check('duplicate', !eval { $insert->execute(1, 'again', undef, undef, undef); 1 } && $db->err == 1062 && $db->state eq '23000');
    check('no table', !eval { $db->do('SELECT * FROM no_such_table'); 1 } && $db->err == 1146);

    $db->begin_work;
    $db->do("DELETE FROM $table");
    $db->rollback;
    check('rolled back', $db->selectrow_array("SELECT COUNT(*) FROM $table") == 21);

    my $call = $db->prepare("CALL several_$table(?)");
    $call->execute(3);
    my @sets = $call->fetchrow_arrayref->[0];
    if (!$prepared) {    # the driver reads no further results of a statement prepared on the server
        push @sets, $call->fetchrow_arrayref->[1] if $call->more_results;
        $call->more_results;
    }
    $call->finish;
    check('several results', "@sets" eq ($prepared ? '3' : '3 two'));

    my $file = File::Temp->new;
    print $file "100\tfirst\n101\tsecond\n";
    $file->flush;
    $db->do("LOAD DATA LOCAL INFILE '" . $file->filename . "' INTO TABLE $table (id, v)");
    check('loaded', $db->selectrow_array("SELECT v FROM $table WHERE id = 101") eq 'second');
    check('ping', $db->ping);

    my $large = 'L' x 18_000_000;
    check('large row', $db->selectrow_array('SELECT ?', undef, $large) eq $large);
    $db->disconnect;
}
print "ok\n";
