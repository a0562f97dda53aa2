# ActiveRecord on mysql2: models, prepared statements, transactions, locking, errors.
# Connects as MYSQL_HOST, MYSQL_PORT … say. Prints "ok" at the end; anything unexpected is an exception.
require "active_record"

ActiveRecord::Base.establish_connection(
  adapter: "mysql2", host: ENV.fetch("MYSQL_HOST"), port: ENV.fetch("MYSQL_PORT").to_i, username: ENV.fetch("MYSQL_USER"),
  password: ENV.fetch("MYSQL_PWD"), database: ENV.fetch("MYSQL_DATABASE"), encoding: "utf8mb4", prepared_statements: true
)

class Item < ActiveRecord::Base
  self.table_name = ENV.fetch("TEST_TABLE")
  self.primary_key = "id"
end

def check(what, condition)
  raise "not so: #{what}" unless condition
end

first = Item.create!(v: "one €", b: "\0\xff'\\".b, at: Time.utc(2024, 2, 29, 12, 34, 56, 789_000), n: "12.5")
check "an id was given", first.id.positive?
Item.insert_all!([{ id: 1000, v: "two" }, { id: 1001, v: nil }])
check "reads its own writes", Item.order(:id).pluck(:v) == ["one €", "two", nil]
10.times { check "prepared statement", Item.find_by(id: 1000).v == "two" }
read = Item.find(first.id)
check "bytes", read.b == "\0\xff'\\".b
check "time", read.at == Time.utc(2024, 2, 29, 12, 34, 56, 789_000)
check "decimal", read.n == BigDecimal("12.5")

Item.transaction do
  Item.lock.find(1000).update!(v: "dos")
  Item.transaction(requires_new: true) do
    Item.find(1001).update!(v: "tres")
    raise ActiveRecord::Rollback
  end
end
check "outer transaction committed, inner one not", Item.order(:id).pluck(:v) == ["one €", "dos", nil]

begin
  Item.insert_all!([{ id: 1000, v: "twice" }])
  raise "no error"
rescue ActiveRecord::RecordNotUnique
  check "after the error", Item.count == 3
end

begin
  Item.connection.execute("SELECT * FROM no_such_table")
  raise "no error"
rescue ActiveRecord::StatementInvalid => error
  check "error number", error.cause.error_number == 1146
end

check "advisory lock", Item.connection.get_advisory_lock("holdfast") && Item.connection.release_advisory_lock("holdfast")
check "schema", Item.columns_hash["n"].sql_type == "decimal(20,4)" && Item.connection.tables.include?(Item.table_name)

Item.connection.reconnect!
check "after a reconnect", Item.where(v: "dos").exists?
Item.connection.reset!
check "after a reset", Item.count == 3

threads = 4.times.map do |n|
  Thread.new { Item.connection_pool.with_connection { Item.create!(id: 2000 + n, v: "thread") } }
end
threads.each(&:join)
check "threads", Item.where(v: "thread").count == 4

client = Mysql2::Client.new(host: ENV.fetch("MYSQL_HOST"), port: ENV.fetch("MYSQL_PORT").to_i, username: ENV.fetch("MYSQL_USER"),
                            password: ENV.fetch("MYSQL_PWD"), database: ENV.fetch("MYSQL_DATABASE"),
                            flags: Mysql2::Client::MULTI_STATEMENTS)
sets = [client.query("SELECT 1 AS a; SELECT 2 AS b; CALL several_#{Item.table_name}(3)").to_a]
while client.next_result
  result = client.store_result
  sets << result.to_a if result
end
check "several results", sets == [[{ "a" => 1 }], [{ "b" => 2 }], [{ "n" => 3 }], [{ "next" => 4, "word" => "two" }]]
client.close
puts "ok"
