// MariaDB's own connector: pipelining, prepared statements, bulk inserts in one command, procedures, LOCAL INFILE, a
// pool that resets its connections, TLS, zlib.
// Connects as MYSQL_HOST, MYSQL_PORT … say; CONNECT_TLS=1 with TLS, CONNECT_COMPRESSED=1 with zlib. Prints "ok" at the
// end; anything unexpected is an exception.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const mariadb = require('mariadb');

const options = {
    host: process.env.MYSQL_HOST, port: Number(process.env.MYSQL_PORT), user: process.env.MYSQL_USER,
    password: process.env.MYSQL_PWD, database: process.env.MYSQL_DATABASE,
    compress: process.env.CONNECT_COMPRESSED === '1', connectTimeout: 20000, insertIdAsNumber: true, bigIntAsNumber: true,
    ...(process.env.CONNECT_TLS === '1' ? { ssl: { rejectUnauthorized: false } } : {}),
};
const table = process.env.TEST_TABLE;

async function statements(client) {
    assert.ok(client.serverVersion().includes('MariaDB'));
    const bytes = Buffer.from([0, 255, 0, 39, 92, 10, 254]);
    const { insertId } = await client.query(`INSERT INTO ${table} (v, b, n) VALUES (?, ?, ?)`, ['zwölf €🎉', bytes, '12.5000']);
    for (let i = 0; i < 5; i++) {
        const rows = await client.execute(`SELECT v, b, n, at FROM ${table} WHERE id = ?`, [insertId]);
        assert.deepStrictEqual([...rows], [{ v: 'zwölf €🎉', b: bytes, n: '12.5000', at: null }]);
    }
    const prepared = await client.prepare('SELECT ? AS a, ? AS b');
    assert.deepStrictEqual([...await prepared.execute([1, 'x'])], [{ a: 1, b: 'x' }]);
    assert.deepStrictEqual([...await prepared.execute([null, 'y'])], [{ a: null, b: 'y' }]);
    prepared.close();
    await assert.rejects(client.execute('SELECT * FROM no_such_table WHERE i = ?', [1]), { errno: 1146 });
    await assert.rejects(client.query(`INSERT INTO ${table} (id) VALUES (?)`, [insertId]), { errno: 1062, sqlState: '23000' });
}

async function pipelined(client) {
    // Nobody waits for an answer before the next is sent, an error among them.
    const answers = await Promise.allSettled(Array.from({ length: 100 }, (_, i) =>
        (i === 50 ? client.query('SELECT nothing') : client.query(`SELECT ${i} AS i`))));
    assert.deepStrictEqual(answers.map((answer) => answer.value?.[0].i ?? answer.reason.errno),
        Array.from({ length: 100 }, (_, i) => (i === 50 ? 1054 : i)));
}

async function bulk(client) {
    await client.batch(`INSERT INTO ${table} (id, v) VALUES (?, ?)`,
        Array.from({ length: 2000 }, (_, i) => [10_000 + i, i % 7 ? `bulk ${i}` : null]));
    const [counted] = await client.query(`SELECT COUNT(*) AS n, COUNT(v) AS v FROM ${table} WHERE id >= 10000`);
    assert.deepStrictEqual(counted, { n: 2000, v: 1714 });
    await assert.rejects(client.batch(`INSERT INTO ${table} (id) VALUES (?)`, [[20_000], [10_000], [20_001]]), { errno: 1062 });
}

async function transactions(client) {
    await client.beginTransaction();
    await client.query(`DELETE FROM ${table}`);
    await client.rollback();
    assert.strictEqual((await client.query(`SELECT COUNT(*) AS n FROM ${table} WHERE id >= 10000`))[0].n, 2000);
}

async function results(client) {
    const sets = await client.query(`CALL several_${table}(3)`);
    assert.deepStrictEqual([[...sets[0]], [...sets[1]]], [[{ n: 3 }], [{ next: 4, word: 'two' }]]);
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'hf-node-')), 'rows.csv');
    fs.writeFileSync(file, '30000,first\n30001,second\n');
    await client.query(`LOAD DATA LOCAL INFILE '${file}' INTO TABLE ${table} FIELDS TERMINATED BY ',' (id, v)`);
    fs.rmSync(path.dirname(file), { recursive: true });
    assert.strictEqual((await client.query(`SELECT v FROM ${table} WHERE id = 30001`))[0].v, 'second');
    let seen = 0;
    for await (const row of client.queryStream('SELECT seq AS s FROM seq_1_to_5000')) assert.strictEqual(row.s, ++seen);
    assert.strictEqual(seen, 5000);
    const large = 'L'.repeat(18_000_000);
    assert.strictEqual((await client.query('SELECT ? AS l', [large]))[0].l, large);
}

async function sessions(client) {
    await client.query('SET @gone = 1');
    await client.reset();
    assert.strictEqual((await client.query('SELECT @gone AS gone'))[0].gone, null);
    await client.query('SET @gone = 1');
    await client.changeUser({ user: options.user, password: options.password, database: options.database });
    assert.strictEqual((await client.query('SELECT @gone AS gone'))[0].gone, null);
    await client.ping();
}

async function pooled() {
    const pool = mariadb.createPool({ ...options, connectionLimit: 5, resetAfterUse: true, noControlAfterUse: false });
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => pool.query('SELECT ? AS i', [i])));
    assert.deepStrictEqual(answers.map((rows) => rows[0].i), Array.from({ length: 60 }, (_, i) => i));
    await pool.end();
}

async function main() {
    const client = await mariadb.createConnection({ ...options, permitLocalInfile: true });
    await statements(client);
    await pipelined(client);
    await bulk(client);
    await transactions(client);
    await results(client);
    await sessions(client);
    await client.end();
    await pooled();
    console.log('ok');
}

main().catch((error) => { console.error(error); process.exit(1); });
