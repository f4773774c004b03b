# Jobs of Sidekiq: done, retried, dead, for later, in bulk, and by the weight of their queues.
#
# The server of Sidekiq is a process of its own, which reads this file for the jobs.

require 'sidekiq'
require 'sidekiq/api'

URL = "redis://#{ENV.fetch('HOST')}:#{ENV.fetch('PORT')}/0".freeze

# This version of Sidekiq calls some of redis-rb's methods by their former arguments.
Redis.silence_deprecations = true

Sidekiq.configure_client { |config| config.redis = { url: URL } }
Sidekiq.configure_server do |config|
  config.redis = { url: URL }
  config.logger.level = Logger::FATAL
  # How often it looks for jobs whose time has come, in seconds.
  config.options[:poll_interval_average] = 0.5
  config.death_handlers << ->(job, error) { Sidekiq.redis { |r| r.rpush('died', "#{job['class']}: #{error.message}") } }
end

def redis(&work)
  Sidekiq.redis(&work)
end

class Note
  include Sidekiq::Job
  def perform(word)
    redis { |r| r.rpush('noted', word) }
  end
end

class Flaky
  include Sidekiq::Job
  sidekiq_options retry: 5
  sidekiq_retry_in { 3600 }
  def perform(name)
    tries = redis { |r| r.incr("tries:#{name}") }
    raise "try #{tries}" if tries < 3

    redis { |r| r.rpush('noted', "#{name} after #{tries}") }
  end
end

class Broken
  include Sidekiq::Job
  sidekiq_options retry: 0
  def perform(word)
    raise ArgumentError, word
  end
end

return if Sidekiq.server?

GIVES_UP_AFTER_S = 30

def part(name)
  puts "\n== #{name}"
end

def say(what, value)
  puts "#{what}: #{value.inspect}"
  $stdout.flush
end

def until_so
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + GIVES_UP_AFTER_S
  until yield
    raise 'in vain' if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

    sleep 0.01
  end
  true
end

def noted(count)
  until_so { redis { |r| r.llen('noted') } == count }
  redis { |r| r.lrange('noted', 0, -1) }
end

part 'queues'
Note.perform_async('one')
Note.set(queue: 'low').perform_async('low')
Sidekiq::Client.push_bulk('class' => Note, 'args' => (1..5).map { |number| [number.to_s] })
say 'sizes', Sidekiq::Queue.all.map { |queue| [queue.name, queue.size] }.sort
say 'waiting', Sidekiq::Queue.new.map { |job| job.args.first }
Sidekiq::Queue.new.find { |job| job.args == ['3'] }.delete
say 'without the third', Sidekiq::Queue.new.map { |job| job.args.first }

part 'later'
Note.perform_in(3600, 'in an hour')
Note.perform_at(Time.now + 1, 'soon')
say 'scheduled', Sidekiq::ScheduledSet.new.map { |job| job.args.first }

server = spawn('sidekiq', '-r', File.expand_path(__FILE__), '-c', '1', '-q', 'default', '-q', 'low',
               out: File::NULL, err: :err)
begin
  part 'jobs'
  words = noted(7)
  say 'first the queue that stands first', words.first(5)
  say 'and then', words.last(2).sort
  Flaky.perform_async('ünï')
  2.times do
    until_so { Sidekiq::RetrySet.new.any? }
    job = Sidekiq::RetrySet.new.first
    say 'to be retried', [job.args, job['error_message'], job['retry_count'], job.at > Time.now + 3000]
    # As on its page: when its time comes by itself, differs by many seconds.
    job.retry
  end
  say 'retried', noted(8).last
  Broken.perform_async('hopeless')
  say 'dead', until_so { Sidekiq::DeadSet.new.size == 1 && redis { |r| r.llen('died') } == 1 }
  say 'why', redis { |r| r.lrange('died', 0, -1) }

  part 'its page'
  processes = Sidekiq::ProcessSet.new
  say 'is seen', until_so { processes.size == 1 && processes.total_concurrency == 1 }
  stats = Sidekiq::Stats.new
  say 'counted', until_so { Sidekiq::Stats.new.processed >= 11 && Sidekiq::Stats.new.failed >= 3 }
  say 'sets', [stats.enqueued, stats.scheduled_size, stats.retry_size, stats.dead_size]
  say 'info', Sidekiq.redis_info.key?('redis_version')
  Sidekiq::ScheduledSet.new.first.add_to_queue
  say 'at once after all', noted(9).last
ensure
  Process.kill('TERM', server)
  Process.wait(server)
end

part 'the end'
say 'nobody is left', Sidekiq::ProcessSet.new.size
Sidekiq::Queue.all.each(&:clear)
say 'cleared', Sidekiq::Queue.all.sum(&:size)
