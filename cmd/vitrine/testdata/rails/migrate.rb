require_relative "shop"

Shop.database do |database|
  database.exec("SET client_min_messages = warning")
  database.exec("CREATE TABLE IF NOT EXISTS orders (id serial PRIMARY KEY, item text NOT NULL, mailed boolean NOT NULL DEFAULT false)")
  database.exec("CREATE TABLE IF NOT EXISTS migrations (at timestamptz NOT NULL DEFAULT now())")
  database.exec("INSERT INTO migrations DEFAULT VALUES")
end
puts "migrated"
