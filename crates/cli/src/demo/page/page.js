"use strict";
const $ = (id) => document.getElementById(id);
const text = (id, value) => { $(id).textContent = value; };
const money = (cents) => "€" + (cents / 100).toFixed(2);

// What the server answers, with the status in `ok` and `status`. A server that is gone is an answer too.
async function ask(method, path, body) {
  try {
    const answer = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const value = await answer.json().catch(() => ({}));
    // Whatever was asked: the session has ended, here or elsewhere.
    if (answer.status === 401) showMe(null);
    return { ok: answer.ok, status: answer.status, headers: answer.headers, value };
  } catch {
    return { ok: false, status: 0, headers: new Headers(), value: { error: "the server can't be reached" } };
  }
}

function say(id, good, message) {
  $(id).textContent = message;
  $(id).className = "result " + (good ? "good" : "bad");
}

function rows(id, values, cells, mark = () => false) {
  $(id).replaceChildren(...values.map((value) => {
    const row = document.createElement("tr");
    row.className = mark(value) ? "me" : "";
    row.append(...cells(value).map((cell) => {
      const td = document.createElement("td");
      td.textContent = cell;
      return td;
    }));
    return row;
  }));
}

let me = null;

// --- what is told live --------------------------------------------------------------------------

function showStats(stats) {
  text("store-url", stats.store.url);
  text("store-latency", stats.store.latency_us === null ? "not reached" : stats.store.latency_us + " µs");
  $("away").hidden = stats.store.latency_us !== null;
  text("crowd-visitors", stats.crowd.visitors);
  text("crowd-rate", Math.round(stats.crowd.actions_per_second));
  if (document.activeElement !== $("crowd")) {
    $("crowd").max = stats.crowd.visitors_max;
    $("crowd").value = stats.crowd.visitors;
    text("crowd-wanted", stats.crowd.visitors);
  }
  text("sessions-active", stats.sessions.active);
  text("sessions-created", stats.sessions.logins);
  const asked = stats.cache.hits + stats.cache.misses;
  const ratio = asked ? (100 * stats.cache.hits) / asked : 0;
  text("cache-ratio", asked ? ratio.toFixed(1) + "%" : "–");
  $("cache-bar").style.width = ratio + "%";
  text("cache-loads", stats.cache.loads);
  text("limit-allowed", stats.limits.allowed);
  text("limit-denied", stats.limits.denied);
  text("queue-lag", stats.queue.lag ?? "?");
  text("queue-pending", stats.queue.pending);
  text("queue-processed", stats.queue.processed);
  text("queue-retried", stats.queue.retried);
  text("queue-dead", stats.queue.dead);
  rows("locks", stats.locks, (lock) => [lock.name, lock.token, lock.remaining_ms + " ms"]);
  rows("board", stats.leaders, (entry) => [entry.rank, entry.member, money(entry.score)],
    (entry) => me && entry.member === me.name);
}

function showEvent(event) {
  const line = document.createElement("li");
  line.textContent = event;
  $("events").prepend(line);
  while ($("events").children.length > 40) $("events").lastChild.remove();
}

const live = new EventSource("/events");
live.addEventListener("open", () => text("live", "live"));
live.addEventListener("error", () => text("live", "reconnecting"));
live.addEventListener("stats", (event) => showStats(JSON.parse(event.data)));
live.addEventListener("shop", (event) => showEvent(JSON.parse(event.data)));

// --- what a person can do -----------------------------------------------------------------------

$("crowd").addEventListener("input", () => text("crowd-wanted", $("crowd").value));
$("crowd").addEventListener("change", async () => {
  await ask("PUT", "/api/crowd", { visitors: Number($("crowd").value) });
  $("crowd").blur();
});

function showMe(now) {
  me = now;
  $("login").hidden = me !== null;
  $("me").hidden = me === null;
  if (me) {
    text("me-name", me.name);
    text("me-sessions", me.sessions === 1 ? "1 device" : me.sessions + " devices");
  }
}

async function whoAmI() {
  const answer = await ask("GET", "/api/me");
  if (answer.ok) showMe(answer.value);
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await ask("POST", "/api/login", { name: $("name").value });
  say("session-result", answer.ok, answer.ok ? "Logged in." : answer.value.error);
  await whoAmI();
});
$("logout").addEventListener("click", async () => {
  const answer = await ask("POST", "/api/logout");
  say("session-result", answer.ok, answer.ok ? "Logged out." : answer.value.error);
  await whoAmI();
});
$("logout-all").addEventListener("click", async () => {
  const answer = await ask("POST", "/api/logout/all");
  say("session-result", answer.ok, answer.ok ? `Logged out on all devices.` : answer.value.error);
  await whoAmI();
});

$("look").addEventListener("click", async () => {
  const begun = performance.now();
  const answer = await ask("GET", "/api/products/" + $("product").value);
  const took = (performance.now() - begun).toFixed(1);
  const { product, cached } = answer.value;
  say("cache-result", answer.ok, answer.ok
    ? `${product.name}, ${money(product.cents)}: ${cached ? "from the cache" : "made"}, ${took} ms`
    : answer.value.error);
});
$("reprice").addEventListener("click", async () => {
  const answer = await ask("POST", `/api/products/${$("product").value}/price`);
  say("cache-result", answer.ok, answer.ok ? `New price ${money(answer.value.cents)}: the tag is void.` : answer.value.error);
});
$("clear").addEventListener("click", async () => {
  const answer = await ask("POST", "/api/products/clear");
  say("cache-result", answer.ok, answer.ok ? "Every product page is void." : answer.value.error);
});

function told(answer) {
  if (answer.ok) return `Let in; ${answer.value.left} more at once.`;
  if (answer.status === 429) return `Denied; come back in ${answer.headers.get("retry-after")} s.`;
  return answer.value.title ?? answer.value.error;
}
$("call").addEventListener("click", async () => {
  const answer = await ask("GET", "/api/limited");
  say("limit-result", answer.ok, told(answer));
});
$("storm").addEventListener("click", async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask("GET", "/api/limited")));
  const letIn = answers.filter((answer) => answer.ok).length;
  const denied = answers.find((answer) => !answer.ok);
  say("limit-result", !denied, `${letIn} let in, ${20 - letIn} denied. ${denied ? told(denied) : ""}`);
});

$("buy").addEventListener("click", async () => {
  const answer = await ask("POST", "/api/orders", { product: Number($("product").value) });
  say("order-result", answer.ok, answer.ok ? `Order ${answer.value.id} is in the stream.` : answer.value.error);
});

$("hold").addEventListener("click", async () => {
  say("lock-result", true, "Waiting for the lock…");
  const answer = await ask("POST", `/api/stock/${$("product").value}/hold`);
  say("lock-result", answer.ok, answer.ok ? `Held with token ${answer.value.token} and released.` : answer.value.error);
});

$("around").addEventListener("click", async () => {
  const answer = await ask("GET", "/api/leaders/around");
  say("board-result", answer.ok, answer.ok
    ? answer.value.map((entry) => `${entry.rank}. ${entry.member} ${money(entry.score)}`).join(" · ")
    : answer.value.error);
});

(async () => {
  const answer = await ask("GET", "/api/products");
  $("product").replaceChildren(...(answer.ok ? answer.value : []).map((product) => new Option(product.name, product.id)));
  await whoAmI();
  document.body.dataset.ready = "yes";
})();
