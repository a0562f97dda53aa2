// go-sql-driver: both protocols, transactions, a pool that resets, errors, several results, LOCAL INFILE, cancellation.
// Connects as MYSQL_HOST, MYSQL_PORT … say. Prints "ok" at the end; anything unexpected ends it.
package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

var table = os.Getenv("TEST_TABLE")

func must(err error) {
	if err != nil {
		log.Output(2, err.Error())
		os.Exit(1)
	}
}

func check(what string, condition bool) {
	if !condition {
		log.Output(2, "not so: "+what)
		os.Exit(1)
	}
}

func number(err error) uint16 {
	var answer *mysql.MySQLError
	if errors.As(err, &answer) {
		return answer.Number
	}
	return 0
}

func open(interpolate bool) *sql.DB {
	config := mysql.NewConfig()
	config.User, config.Passwd = os.Getenv("MYSQL_USER"), os.Getenv("MYSQL_PWD")
	config.Net, config.Addr = "tcp", os.Getenv("MYSQL_HOST")+":"+os.Getenv("MYSQL_PORT")
	config.DBName = os.Getenv("MYSQL_DATABASE")
	config.ParseTime, config.MultiStatements, config.InterpolateParams = true, true, interpolate
	if os.Getenv("CONNECT_TLS") == "1" {
		config.TLSConfig = "skip-verify"
	}
	db, err := sql.Open("mysql", config.FormatDSN())
	must(err)
	db.SetMaxOpenConns(4)
	return db
}

func statements(db *sql.DB) {
	at := time.Date(2024, 2, 29, 12, 34, 56, 789000000, time.UTC)
	blob := []byte("\x00\xff'\\\n")
	answer, err := db.Exec("INSERT INTO "+table+" (v, b, at, n) VALUES (?, ?, ?, ?)", "zwölf €🎉", blob, at, "12.5")
	must(err)
	id, err := answer.LastInsertId()
	must(err)
	prepared, err := db.Prepare("SELECT v, b, at, n, NULL FROM " + table + " WHERE id = ?")
	must(err)
	for i := 0; i < 20; i++ {
		var v, n string
		var b []byte
		var readAt time.Time
		var nothing *string
		must(prepared.QueryRow(id).Scan(&v, &b, &readAt, &n, &nothing))
		check("row", v == "zwölf €🎉" && bytes.Equal(b, blob) && readAt.Equal(at) && n == "12.5000" && nothing == nil)
	}
	must(prepared.Close())
	_, err = db.Exec("INSERT INTO "+table+" (id) VALUES (?)", id)
	check("duplicate", number(err) == 1062)
	_, err = db.Query("SELECT * FROM no_such_table")
	check("no table", number(err) == 1146)

	transaction, err := db.Begin()
	must(err)
	_, err = transaction.Exec("DELETE FROM " + table)
	must(err)
	must(transaction.Rollback())
	var count int
	must(db.QueryRow("SELECT COUNT(*) FROM "+table+" WHERE id = ?", id).Scan(&count))
	check("rolled back", count == 1)
	readOnly, err := db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	must(err)
	must(readOnly.QueryRow("SELECT COUNT(*) FROM "+table+" WHERE id = ?", id).Scan(&count))
	check("read only", count == 1)
	must(readOnly.Commit())
}

func results(db *sql.DB) {
	rows, err := db.Query("SELECT 1; SELECT 2; CALL several_" + table + "(3)")
	must(err)
	sets := 0
	for more := true; more; more = rows.NextResultSet() {
		for rows.Next() {
			sets++
		}
	}
	must(rows.Err())
	must(rows.Close())
	check("several results", sets == 4)

	mysql.RegisterReaderHandler("rows", func() io.Reader {
		return strings.NewReader(strings.Repeat("loaded\n", 50000))
	})
	answer, err := db.Exec("LOAD DATA LOCAL INFILE 'Reader::rows' INTO TABLE " + table + " (v)")
	must(err)
	loaded, _ := answer.RowsAffected()
	check("loaded", loaded == 50000)

	large := strings.Repeat("L", 18000000)
	var read string
	must(db.QueryRow("SELECT ?", large).Scan(&read))
	check("large row", read == large)
}

func concurrently(db *sql.DB) {
	var all sync.WaitGroup
	for i := 0; i < 40; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			var read int
			must(db.QueryRow("SELECT ?", i).Scan(&read))
			check("own answer", read == i)
		}(i)
	}
	all.Wait()
}

func cancellation(db *sql.DB) {
	limited, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := db.ExecContext(limited, "DO SLEEP(30)")
	check("cancelled", errors.Is(err, context.DeadlineExceeded))
	var one int
	must(db.QueryRow("SELECT 1").Scan(&one))
}

func main() {
	log.SetFlags(log.Lshortfile)
	for _, interpolate := range []bool{false, true} {
		db := open(interpolate)
		must(db.Ping())
		statements(db)
		results(db)
		concurrently(db)
		cancellation(db)
		must(db.Close())
	}
	fmt.Println("ok")
}
