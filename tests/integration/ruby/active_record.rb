# ActiveRecord: models, prepared statements, transactions, locking, errors.
# Connects as PGHOST, PGPORT … say. Prints "ok" at the end; anything unexpected is an exception.
require "active_record"

ActiveRecord::Base.establish_connection(adapter: "postgresql", database: ENV.fetch("PGDATABASE"))

class Item < ActiveRecord::Base
  self.table_name = ENV.fetch("TEST_TABLE")
  self.primary_key = "id"
end

def check(what, condition)
  raise "not so: #{what}" unless condition
end

Item.create!(id: 1, v: "one")
Item.insert_all!([{ id: 2, v: "two" }, { id: 3, v: "three" }])
check "reads its own writes", Item.order(:id).pluck(:v) == %w[one two three]
10.times { check "prepared statement", Item.find_by(id: 2).v == "two" }

Item.transaction do
  Item.lock.find(1).update!(v: "uno")
  Item.transaction(requires_new: true) do
    Item.find(2).update!(v: "dos")
    raise ActiveRecord::Rollback
  end
end
check "outer transaction committed, inner one not", Item.order(:id).pluck(:v) == %w[uno two three]

begin
  Item.connection.execute("SELECT 1/0")
  raise "no error"
rescue ActiveRecord::StatementInvalid => error
  check "division by zero", error.cause.is_a?(PG::DivisionByZero)
end

check "after the error", Item.count == 3
check "advisory lock", Item.connection.get_advisory_lock(42) && Item.connection.release_advisory_lock(42)

Item.connection.reconnect!
check "after a reconnect", Item.where(v: "uno").exists?

threads = 4.times.map do |n|
  Thread.new { Item.connection_pool.with_connection { Item.create!(id: 10 + n, v: "thread") } }
end
threads.each(&:join)
check "threads", Item.where(v: "thread").count == 4
puts "ok"
