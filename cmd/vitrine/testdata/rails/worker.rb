require_relative "shop"

$stdout.sync = true
queue = Shop.queue
puts "waiting for #{ENV.fetch("QUEUES")}"
loop do
  _, order = queue.brpop("mail", timeout: 0)
  Shop.database { |database| database.exec_params("UPDATE orders SET mailed = true WHERE id = $1", [order]) }
  puts "mailed order #{order}"
end
