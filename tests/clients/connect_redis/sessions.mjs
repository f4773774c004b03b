// Sessions of express-session that connect-redis keeps: made, read, changed, prolonged, ended, and
// lost by their time.

import { once } from 'node:events';
import { createRequire } from 'node:module';

import { end, part, say, until } from '../ioredis/transcript.mjs';

const require = createRequire(`${process.env.LARDER_NODE_MODULES}/`);
const { RedisStore } = require('connect-redis');
const express = require('express');
const session = require('express-session');
const { createClient } = require('redis');

const client = await createClient({
  socket: { host: process.env.HOST, port: Number(process.env.PORT) },
}).connect();
const store = new RedisStore({ client, prefix: 'sess:', ttl: 600, scanCount: 10 });

/// An application that counts views and keeps a basket.
async function application(options) {
  const app = express();
  app.use(session({ secret: 'kept', resave: false, saveUninitialized: false, store, ...options }));
  app.get('/views', (request, response) => {
    request.session.views = (request.session.views ?? 0) + 1;
    response.json(request.session.views);
  });
  app.get('/put/:what', (request, response) => {
    request.session.basket = [...(request.session.basket ?? []), request.params.what];
    response.json(request.session.basket);
  });
  app.get('/look', (request, response) => response.json(request.session.basket ?? null));
  app.get('/renew', (request, response) => request.session.regenerate(() => response.json('new')));
  app.get('/leave', (request, response) => request.session.destroy(() => response.json('gone')));
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}

/// A browser: it keeps the cookie that it was given.
function browser(url) {
  const own = { cookie: '' };
  own.get = async (path) => {
    const response = await fetch(url + path, { headers: { cookie: own.cookie } });
    const given = response.headers.get('set-cookie');
    if (given) own.cookie = given.split(';')[0];
    return response.json();
  };
  /// The key of its session.
  own.key = () => `sess:${decodeURIComponent(own.cookie).match(/s:([^.]+)/)[1]}`;
  return own;
}

part('sessions');
const url = await application();
const [ann, bob] = [browser(url), browser(url)];
say('views', [await ann.get('/views'), await ann.get('/views'), await bob.get('/views')]);
say('baskets', [await ann.get('/put/büchse'), await ann.get('/put/pot'), await ann.get('/look'), await bob.get('/look')]);
const { cookie, ...kept } = JSON.parse(await client.get(ann.key()));
say('what is kept', [kept, cookie.path, await client.ttl(ann.key()) > 590]);
await client.expire(ann.key(), 100);
await ann.get('/look');
say('prolonged by a look', await until(async () => (await client.ttl(ann.key())) > 590));
const old = ann.key();
say('renewed', [await ann.get('/renew'), await ann.get('/views'), await client.exists(old)]);
say('left', [await bob.get('/leave'), await client.exists(bob.key()), await bob.get('/views')]);

part('their time');
const fleeting = browser(await application({ cookie: { maxAge: 1000 } }));
await fleeting.get('/views');
say('within its second', await client.pTTL(fleeting.key()) <= 1000);
await until(async () => (await client.exists(fleeting.key())) === 0);
say('begun anew', await fleeting.get('/views'));

part('the store');
await store.clear();
await Promise.all(Array.from({ length: 300 }, (_, i) => store.set(`s${i}`, { cookie: {}, number: i })));
say('length', await store.length());
say('ids', (await store.ids()).sort().slice(0, 3));
say('all', (await store.all()).length);
await store.destroy('s0');
say('one', [await store.get('s0') ?? null, await store.get('s1')]);
await store.clear();
say('cleared', await store.length());
end();
