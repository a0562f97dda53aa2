<?php
// mysqli and PDO on mysqlnd: both protocols, transactions, several results, persistent connections, errors.
// Connects as MYSQL_HOST, MYSQL_PORT … say. Prints "ok" at the end; anything unexpected is fatal.
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$table = getenv('TEST_TABLE');
$address = [getenv('MYSQL_HOST'), getenv('MYSQL_USER'), getenv('MYSQL_PWD'), getenv('MYSQL_DATABASE'), (int) getenv('MYSQL_PORT')];
$flags = (getenv('CONNECT_TLS') ? MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT : 0)
    | (getenv('CONNECT_COMPRESSED') ? MYSQLI_CLIENT_COMPRESS : 0);

function check($what, $condition) {
    if (!$condition) throw new Exception("not so: $what");
}

function fails_with($number, $what) {
    try {
        $what();
    } catch (mysqli_sql_exception $error) {
        check("error $number", $error->getCode() === $number);
        return;
    }
    throw new Exception("no error $number");
}

$db = mysqli_init();
$db->real_connect($address[0], $address[1], $address[2], $address[3], $address[4], null, $flags);
$db->set_charset('utf8mb4');
$bytes = "\0\xff'\\\n";
$insert = $db->prepare("INSERT INTO $table (v, b, at, n) VALUES (?, ?, ?, ?)");
$insert->execute(['zwölf €🎉', $bytes, '2024-02-29 12:34:56.789', '12.5']);
$id = $insert->insert_id;
$row = $db->execute_query("SELECT v, b, at, n, NULL AS nothing FROM $table WHERE id = ?", [$id])->fetch_assoc();
check('row', $row === ['v' => 'zwölf €🎉', 'b' => $bytes, 'at' => '2024-02-29 12:34:56.789000', 'n' => '12.5000', 'nothing' => null]);
check('text', $db->query("SELECT b FROM $table WHERE id = $id")->fetch_row() === [$bytes]);

$long = $db->prepare("UPDATE $table SET b = ? WHERE id = ?");
$null = null;
$long->bind_param('bi', $null, $id);
foreach (range(1, 5) as $_) $long->send_long_data(0, str_repeat("\0x", 500000));
$long->execute();
check('long data', $db->query("SELECT LENGTH(b) FROM $table WHERE id = $id")->fetch_row() === ['5000000']);

fails_with(1062, fn() => $db->query("INSERT INTO $table (id) VALUES ($id)"));
fails_with(1146, fn() => $db->prepare('SELECT * FROM no_such_table'));
$db->begin_transaction();
$db->query("DELETE FROM $table");
$db->rollback();
check('rolled back', $db->query("SELECT COUNT(*) FROM $table")->fetch_row() === ['1']);

$db->multi_query("SELECT 1; SET @x = 5; SELECT @x; CALL several_$table(3)");
$sets = [];
do {
    if ($result = $db->store_result()) $sets[] = $result->fetch_all();
} while ($db->more_results() && $db->next_result());
check('several results', $sets === [[['1']], [['5']], [['3']], [['4', 'two']]]);

$cursor = $db->prepare('SELECT seq FROM seq_1_to_1000');
$cursor->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY);
$cursor->execute();
$cursor->bind_result($number);
for ($sum = 0; $cursor->fetch(); $sum += $number);
check('cursor', $sum === 500500);
$cursor->close();

$db->change_user($address[1], $address[2], $address[3]);
check('change of user', $db->query('SELECT @x')->fetch_row() === [null]);
check('statistics', str_contains($db->stat(), 'Uptime'));
$db->close();

foreach ([true, false] as $emulated) {
    $pdo = new PDO("mysql:host=$address[0];port=$address[4];dbname=$address[3];charset=utf8mb4", $address[1], $address[2],
        [PDO::ATTR_EMULATE_PREPARES => $emulated, PDO::ATTR_PERSISTENT => true, PDO::ATTR_STRINGIFY_FETCHES => true]);
    $statement = $pdo->prepare("SELECT v FROM $table WHERE id = :id");
    foreach (range(1, 5) as $_) {
        $statement->execute(['id' => $id]);
        check('PDO', $statement->fetchAll(PDO::FETCH_COLUMN) === ['zwölf €🎉']);
    }
    $call = $pdo->query("CALL several_$table(3)");
    $sets = [];
    do {
        if ($call->columnCount()) $sets[] = $call->fetchAll(PDO::FETCH_NUM);
    } while ($call->nextRowset());
    // PDO shows the closing OK of a prepared CALL as one more result, without rows.
    check('PDO, several results', array_filter($sets) === [[['3']], [['4', 'two']]]);
    $unbuffered = $pdo->prepare('SELECT seq FROM seq_1_to_1000', [PDO::MYSQL_ATTR_USE_BUFFERED_QUERY => false]);
    $unbuffered->execute();
    check('PDO, unbuffered', array_sum($unbuffered->fetchAll(PDO::FETCH_COLUMN)) === 500500);
    $pdo = $statement = $call = $unbuffered = null;
}
echo "ok\n";
