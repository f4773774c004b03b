// Jobs of BullMQ and of Bull, which do all their work in scripts: added, taken, retried, delayed,
// ordered by priority, and in flows.

import { createRequire } from 'node:module';

import { end, part, say, until } from '../ioredis/transcript.mjs';

const require = createRequire(`${process.env.LARDER_NODE_MODULES}/`);
const Bull = require('bull');
const { FlowProducer, Queue, QueueEvents, Worker } = require('bullmq');

const connection = {
  host: process.env.HOST ?? '127.0.0.1',
  port: Number(process.env.PORT ?? 6379),
  maxRetriesPerRequest: null,
};

/// Nothing here may take longer, whatever a server does.
const ENDS_WITHIN_MS = 60_000;

const open = [];

/// A queue with a worker that does `work`, both of which are closed at the end.
function queueOf(name, work, options = {}) {
  const queue = new Queue(name, { connection });
  const worker = new Worker(name, work, { connection, ...options });
  open.push(worker, queue);
  return queue;
}

/// Jobs that run one after the other, and leave what they return.
async function simple() {
  part('bullmq: jobs');
  const queue = queueOf('simple', async (job) => ({ sum: job.data.left + job.data.right }));
  // From the first event on: else one could come before it listens.
  const events = new QueueEvents('simple', { connection, lastEventId: '0-0' });
  open.push(events);
  await events.waitUntilReady();
  const job = await queue.add('sum', { left: 2, right: 3 });
  say('returned', await job.waitUntilFinished(events, 10_000));
  const jobs = await queue.addBulk([1, 2, 3].map((left) => ({ name: 'sum', data: { left, right: 1 } })));
  say('returned', await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 10_000))));
  const first = await queue.add('sum', { left: 1, right: 1 }, { jobId: 'own' });
  const again = await queue.add('sum', { left: 9, right: 9 }, { jobId: 'own' });
  say('the same id twice', [first.id, again.id]);
  say('all are done', await until(async () => (await queue.getCompletedCount()) === 5));
  const { id, name, data, returnvalue, attemptsMade } = await queue.getJob(job.id);
  say('a job', { id, name, data, returnvalue, attemptsMade });
  say('counts', await queue.getJobCounts());
}

/// A job that fails twice is done the third time.
async function retried() {
  part('bullmq: retries');
  const tries = [];
  const queue = queueOf('retried', async (job) => {
    tries.push(job.attemptsMade);
    if (tries.length < 3) throw new Error(`failure ${tries.length}`);
    return 'done';
  });
  const backoff = { type: 'fixed', delay: 20 };
  const job = await queue.add('flaky', { text: 'ünï' }, { attempts: 3, backoff });
  say('done in the end', await until(async () => (await job.getState()) === 'completed'));
  say('attempts', tries);
  const kept = await queue.getJob(job.id);
  say('what is kept', [kept.attemptsMade, kept.stacktrace.length, kept.returnvalue]);
  tries.length = 0;
  const lost = await queue.add('lost', {}, { attempts: 1 });
  say('failed', await until(async () => (await lost.getState()) === 'failed'));
  say('why', (await queue.getJob(lost.id)).failedReason);
  tries.push(0, 0);
  await lost.retry();
  say('done after all', await until(async () => (await lost.getState()) === 'completed'));
}

/// Jobs that wait for their time.
async function delayed() {
  part('bullmq: delays');
  const begun = Date.now();
  const done = [];
  const queue = queueOf('delayed', async (job) => done.push([job.name, Date.now() - begun]));
  await queue.add('late', {}, { delay: 6000 });
  await queue.add('soon', {}, { delay: 3000 });
  await queue.add('now', {});
  const far = await queue.add('far', {}, { delay: 600_000 });
  say('all are done', await until(() => done.length === 3));
  say('their order', done.map(([name]) => name));
  say('not before their time', done.every(([name, after]) => after >= { now: 0, soon: 2995, late: 5995 }[name]));
  say('one waits', [await far.getState(), await queue.getDelayedCount()]);
  await far.remove();
  say('none waits', await queue.getDelayedCount());
}

/// Jobs by their priority; those of one priority as they came.
async function prioritised() {
  part('bullmq: priorities');
  const done = [];
  const queue = new Queue('prioritised', { connection });
  open.push(queue);
  for (const [name, priority] of [['c', 30], ['a', 1], ['b1', 20], ['b2', 20], ['first', undefined]]) {
    await queue.add(name, {}, { priority });
  }
  say('prioritised', await queue.getPrioritizedCount());
  const worker = new Worker('prioritised', async (job) => done.push(job.name), { connection });
  open.push(worker);
  say('all are done', await until(() => done.length === 5));
  say('their order', done);
}

/// A job that waits for its children, and sees what they returned.
async function flow() {
  part('bullmq: flows');
  queueOf('children', async (job) => job.data.value * 2);
  const parents = queueOf('parents', async (job) => {
    const values = Object.values(await job.getChildrenValues());
    return values.reduce((sum, value) => sum + value, 0);
  });
  const flows = new FlowProducer({ connection });
  open.push(flows);
  const child = (value) => ({ name: 'child', queueName: 'children', data: { value } });
  const middle = { name: 'middle', queueName: 'parents', data: {}, children: [child(3), child(4)] };
  const tree = await flows.add({
    name: 'root',
    queueName: 'parents',
    data: {},
    children: [child(1), child(2), middle],
  });
  say('done', await until(async () => (await tree.job.getState()) === 'completed'));
  say('the sum', (await parents.getJob(tree.job.id)).returnvalue);
}

/// A queue that is paused, emptied and removed.
async function kept() {
  part('bullmq: queues');
  const queue = new Queue('kept', { connection });
  open.push(queue);
  await queue.pause();
  await queue.addBulk([1, 2, 3, 4].map((number) => ({ name: `job ${number}`, data: { number } })));
  say('paused', [await queue.isPaused(), await queue.getJobCounts('wait', 'paused')]);
  const names = (await queue.getJobs(['paused', 'wait'], 0, -1, true)).map((job) => job.name);
  say('jobs', names);
  await queue.resume();
  await queue.drain();
  say('drained', await queue.getJobCounts('wait', 'paused'));
  await queue.obliterate({ force: true });
  say('gone', await queue.count());
}

/// Bull, which came before.
async function bull() {
  part('bull');
  const queue = new Bull('bull', { redis: { host: connection.host, port: connection.port } });
  open.push(queue);
  const done = [];
  queue.process(async (job) => {
    if (job.data.fails && job.attemptsMade === 0) throw new Error('once');
    done.push(job.data.name);
    return job.data.name;
  });
  await queue.add({ name: 'plain' });
  await queue.add({ name: 'late' }, { delay: 200 });
  await queue.add({ name: 'flaky', fails: true }, { attempts: 2 });
  say('all are done', await until(() => done.length === 3));
  say('what was done', [...done].sort());
  say('counts', await until(async () => (await queue.getJobCounts()).completed === 3));
}

const timer = setTimeout(() => {
  console.log('it did not end');
  process.exit(1);
}, ENDS_WITHIN_MS);

for (const each of [simple, retried, delayed, prioritised, flow, kept, bull]) await each();
await Promise.allSettled(open.map((each) => each.close()));
clearTimeout(timer);
end();
