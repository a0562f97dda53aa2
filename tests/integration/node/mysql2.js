// mysql2: text and binary protocol, transactions, a pool, errors, several statements, procedures, LOCAL INFILE, a
// stream of rows, change of user, reset.
// Connects as MYSQL_HOST, MYSQL_PORT … say; CONNECT_TLS=1 with TLS, CONNECT_COMPRESSED=1 with zlib. Prints "ok" at the
// end; anything unexpected is an exception.
'use strict';
const assert = require('node:assert');
const { Readable } = require('node:stream');
const mysql = require('mysql2/promise');

const options = {
    host: process.env.MYSQL_HOST, port: Number(process.env.MYSQL_PORT), user: process.env.MYSQL_USER,
    password: process.env.MYSQL_PWD, database: process.env.MYSQL_DATABASE,
    compress: process.env.CONNECT_COMPRESSED === '1',
    ...(process.env.CONNECT_TLS === '1' ? { ssl: { rejectUnauthorized: false } } : {}),
};
const table = process.env.TEST_TABLE;

async function statements(client) {
    assert.deepStrictEqual((await client.query('SELECT 1 AS one, NULL AS nothing'))[0], [{ one: 1, nothing: null }]);
    const at = new Date(Date.UTC(2024, 1, 29, 12, 34, 56, 789));
    const bytes = Buffer.from([0, 255, 0, 39, 92, 10, 254]);
    const [inserted] = await client.execute(`INSERT INTO ${table} (v, b, at, n) VALUES (?, ?, ?, ?)`, ['zwölf €🎉', bytes, at, '12.5000']);
    assert.strictEqual(inserted.affectedRows, 1);
    for (let i = 0; i < 10; i++) {
        const [rows] = await client.execute(`SELECT v, b, n FROM ${table} WHERE id = ?`, [inserted.insertId]);
        assert.deepStrictEqual(rows, [{ v: 'zwölf €🎉', b: bytes, n: '12.5000' }]);
    }
    assert.strictEqual((await client.query(`SELECT at FROM ${table} WHERE id = ?`, [inserted.insertId]))[0][0].at.getTime(), at.getTime());
    await assert.rejects(client.execute(`INSERT INTO ${table} (id) VALUES (?)`, [inserted.insertId]), { errno: 1062, sqlState: '23000' });
    await assert.rejects(client.execute('SELECT * FROM no_such_table WHERE i = ?', [1]), { errno: 1146 });
    await assert.rejects(client.query('SELEC'), { errno: 1064 });
    return inserted.insertId;
}

async function transactions(client, id) {
    await client.beginTransaction();
    await client.execute(`UPDATE ${table} SET v = ? WHERE id = ?`, ['changed', id]);
    await client.rollback();
    assert.strictEqual((await client.query(`SELECT v FROM ${table} WHERE id = ${id}`))[0][0].v, 'zwölf €🎉');
    await client.beginTransaction();
    await client.execute(`UPDATE ${table} SET v = ? WHERE id = ?`, ['changed', id]);
    await client.commit();
    assert.strictEqual((await client.query(`SELECT v FROM ${table} WHERE id = ${id}`))[0][0].v, 'changed');
}

async function results(client) {
    const [sets] = await client.query(`SELECT 1 AS a; SET @x = 5; SELECT @x AS b; UPDATE ${table} SET v = v; SELECT 'end' AS c`);
    assert.deepStrictEqual([sets[0], sets[2], sets[4]], [[{ a: 1 }], [{ b: 5 }], [{ c: 'end' }]]);
    await assert.rejects(client.query('SELECT 1; SELECT nothing; SELECT 2'), { errno: 1054 });
    const [called] = await client.query(`CALL several_${table}(3)`);
    assert.deepStrictEqual([called[0], called[1]], [[{ n: 3 }], [{ next: 4, word: 'two' }]]);
    const [executed] = await client.execute(`CALL several_${table}(?)`, [7]);
    assert.deepStrictEqual(executed[1], [{ next: 8, word: 'two' }]);

    await client.query({
        sql: `LOAD DATA LOCAL INFILE 'stream' INTO TABLE ${table} FIELDS TERMINATED BY ',' (id, v)`,
        infileStreamFactory: () => Readable.from(Array.from({ length: 1000 }, (_, i) => Buffer.from(`${1000 + i},loaded ${i}\n`))),
    });
    assert.strictEqual((await client.query(`SELECT COUNT(*) AS n FROM ${table} WHERE v LIKE 'loaded%'`))[0][0].n, 1000);

    let seen = 0;
    for await (const row of client.connection.query(`SELECT id FROM ${table} WHERE id >= 1000 ORDER BY id`).stream()) {
        assert.strictEqual(row.id, 1000 + seen++);
    }
    assert.strictEqual(seen, 1000);
    const large = 'L'.repeat(18_000_000);
    assert.strictEqual((await client.query('SELECT ? AS l', [large]))[0][0].l, large);
    assert.strictEqual((await client.execute('SELECT LENGTH(?) AS l', [large]))[0][0].l, large.length);
}

async function pooled() {
    const pool = mysql.createPool({ ...options, connectionLimit: 5 });
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => pool.execute('SELECT CAST(? AS SIGNED) AS i', [i])));
    assert.deepStrictEqual(answers.map(([rows]) => rows[0].i), Array.from({ length: 60 }, (_, i) => i));
    await pool.end();
}

async function main() {
    const client = await mysql.createConnection({ ...options, multipleStatements: true });
    const id = await statements(client);
    await transactions(client, id);
    await results(client);
    await client.ping();
    await client.query('SET @gone = 1');
    await client.changeUser({ user: options.user, password: options.password, database: options.database });
    assert.strictEqual((await client.query('SELECT @gone AS gone'))[0][0].gone, null);
    assert.strictEqual(Boolean(client.connection.stream.encrypted), Boolean(options.ssl));
    await client.end();
    await pooled();
    console.log('ok');
}

main().catch((error) => { console.error(error); process.exit(1); });
