// postgres.js: prepared statements, pipelining, transactions with savepoints, cursors, LISTEN, COPY, errors.
// Connects as PGHOST, PGPORT … say. Prints "ok" at the end; anything unexpected is an exception.
'use strict';
const assert = require('node:assert');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const postgres = require('postgres');

async function main() {
    const table = process.env.TEST_TABLE;
    const sql = postgres({ max: 4, onnotice: () => {} });

    assert.strictEqual((await sql`SELECT ${40}::int + 2 AS answer`)[0].answer, 42);
    await sql`INSERT INTO ${sql(table)} ${sql([{ id: 1, v: 'one' }, { id: 2, v: 'two' }])}`;
    assert.strictEqual((await sql`SELECT count(*)::int AS n FROM ${sql(table)}`)[0].n, 2);

    // Many at once on few connections: they are pipelined.
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => sql`SELECT ${i}::int AS i`));
    assert.deepStrictEqual(answers.map((rows) => rows[0].i), Array.from({ length: 100 }, (_, i) => i));

    await assert.rejects(sql`SELECT 1/${0}::int`, { code: '22012' });
    await sql.begin(async (transaction) => {
        await transaction`INSERT INTO ${sql(table)} VALUES (3, 'three')`;
        await transaction.savepoint((inner) => inner`INSERT INTO ${sql(table)} VALUES ('x'::int, 'no')`).catch(() => {});
        assert.strictEqual((await transaction`SELECT count(*)::int AS n FROM ${sql(table)}`)[0].n, 3);
    });

    let seen = 0;
    await sql`SELECT generate_series(1, 1000) AS i`.cursor(100, (rows) => { seen += rows.length; });
    assert.strictEqual(seen, 1000);

    const heard = new Promise((resolve) => { sql.listen('from_postgres_js', resolve).then(() => sql.notify('from_postgres_js', 'hi')); });
    assert.strictEqual(await heard, 'hi');

    await pipeline(Readable.from(['4\tfour\n']), await sql`COPY ${sql(table)} FROM STDIN`.writable());
    let copied = '';
    for await (const chunk of await sql`COPY (SELECT v FROM ${sql(table)} ORDER BY id) TO STDOUT`.readable()) copied += chunk;
    assert.strictEqual(copied, 'one\ntwo\nthree\nfour\n');

    await sql.end();
    console.log('ok');
}

main().catch((error) => { console.error(error); process.exit(1); });
