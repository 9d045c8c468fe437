require "digest"
require "json"
require_relative "shop"

# GET / says what there is; POST /orders takes an order, which the worker mails.
class Web
  def call(env)
    case [env["REQUEST_METHOD"], env["PATH_INFO"]]
    when ["GET", "/up"] then answer(200, "up")
    when ["GET", "/"] then answer(200, JSON.generate(state))
    when ["POST", "/orders"] then answer(201, order(env["rack.input"].read))
    else answer(404, "nothing here")
    end
  end

  private

  def answer(status, text) = [status, {"content-type" => "text/plain"}, [text]]

  def order(item)
    id = Shop.database { |database| database.exec_params("INSERT INTO orders (item) VALUES ($1) RETURNING id", [item])[0]["id"] }
    Shop.queue.lpush("mail", id)
    id
  end

  def state
    Shop.database do |database|
      {
        orders: database.exec("SELECT item, mailed FROM orders ORDER BY id").map { |o| [o["item"], o["mailed"] == "t"] },
        migrations: database.exec("SELECT count(*) FROM migrations")[0]["count"].to_i,
        env: ENV.fetch("RAILS_ENV"), version: File.read("version.txt").strip,
        # Only what tells two keys apart, not the keys.
        secret: Digest::SHA256.hexdigest(ENV.fetch("SECRET_KEY_BASE")), secret_length: ENV.fetch("SECRET_KEY_BASE").length,
        stripe: Digest::SHA256.hexdigest(ENV.fetch("STRIPE_KEY"))
      }
    end
  end
end

run Web.new
