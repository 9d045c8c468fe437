require "pg"
require "redis"

# What web, worker and the jobs share.
module Shop
  # Opens a connection for a block, and closes it.
  def self.database(&) = PG.connect(ENV.fetch("DATABASE_URL"), &)

  def self.queue = Redis.new(url: ENV.fetch("REDIS_URL"))
end
