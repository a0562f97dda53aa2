// node-postgres: simple, parameterised and named statements, transactions, a pool, COPY, LISTEN, errors.
// Connects as PGHOST, PGPORT … say. Prints "ok" at the end; anything unexpected is an exception.
'use strict';
const assert = require('node:assert');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const { Client, Pool } = require('pg');
const { from: copyFrom, to: copyTo } = require('pg-copy-streams');

async function main() {
    const table = process.env.TEST_TABLE;
    const client = new Client();
    await client.connect();

    assert.strictEqual((await client.query('SELECT 1 AS one')).rows[0].one, 1);
    await client.query(`INSERT INTO ${table} VALUES ($1, $2)`, [1, 'one']);
    assert.strictEqual((await client.query(`SELECT v FROM ${table} WHERE id = $1`, [1])).rows[0].v, 'one');
    for (let i = 0; i < 5; i++) {
        const answer = await client.query({ name: 'by-id', text: `SELECT v FROM ${table} WHERE id = $1`, values: [1] });
        assert.strictEqual(answer.rows[0].v, 'one');
    }

    await assert.rejects(client.query('SELECT 1/0'), { code: '22012' });
    await client.query('BEGIN');
    await client.query(`UPDATE ${table} SET v = 'changed' WHERE id = 1`);
    await client.query('ROLLBACK');
    assert.strictEqual((await client.query(`SELECT v FROM ${table} WHERE id = 1`)).rows[0].v, 'one');

    await pipeline(Readable.from(['2\ttwo\n', '3\tthree\n']), client.query(copyFrom(`COPY ${table} FROM STDIN`)));
    let copied = '';
    for await (const chunk of client.query(copyTo(`COPY (SELECT * FROM ${table} ORDER BY id) TO STDOUT`))) copied += chunk;
    assert.strictEqual(copied, '1\tone\n2\ttwo\n3\tthree\n');

    const notified = new Promise((resolve) => client.on('notification', resolve));
    await client.query('LISTEN from_node');

    const pool = new Pool({ max: 5 });
    await pool.query("NOTIFY from_node, 'hello'");
    assert.strictEqual((await notified).payload, 'hello');
    const counts = await Promise.all(Array.from({ length: 50 }, (_, i) => pool.query('SELECT $1::int AS i', [i])));
    assert.deepStrictEqual(counts.map((answer) => answer.rows[0].i), Array.from({ length: 50 }, (_, i) => i));
    await pool.end();
    await client.end();
    console.log('ok');
}

main().catch((error) => { console.error(error); process.exit(1); });
