require_relative "shop"

Shop.database { |database| database.exec("INSERT INTO orders (item, mailed) VALUES ('a kettle', true)") }
puts "seeded"
