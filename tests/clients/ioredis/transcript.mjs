// What the suites print: one line a fact, in which what differs from run to run is its shape.

/// Starts a part of the transcript.
export function part(name) {
  console.log(`\n== ${name}`);
}

/// Prints a fact.
export function say(what, value) {
  console.log(`${what}: ${shaped(JSON.stringify(value, plain) ?? String(value))}`);
}

/// Prints what a promise comes to, be it an error.
export async function sayOf(what, promise) {
  try {
    say(what, await promise);
  } catch (error) {
    say(what, error);
  }
}

/// Waits until `isSo()` is true; false if it is not within two seconds.
export async function until(isSo) {
  for (let tries = 0; tries < 400; tries++) {
    if (await isSo()) return true;
    await pause(5);
  }
  return false;
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/// Errors by their text, buffers by their bytes.
function plain(_key, value) {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (value?.type === 'Buffer') return `bytes ${Buffer.from(value.data).toString('hex')}`;
  return value;
}

function shaped(text) {
  return text
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g, '<uuid>')
    .replace(/\b1\d{12}-\d+\b/g, '<stream id>')
    .replace(/\b1\d{12}\b/g, '<ms>');
}
