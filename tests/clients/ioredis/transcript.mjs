// What the suites print: one line a fact, in which what differs from run to run is its shape.

/// No condition takes longer, be the machine as slow as it may.
const GIVES_UP_AFTER_MS = 30_000;

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

/// Waits until `isSo()` is true, which it then is. If it never is, the suite fails on either server:
/// two that wait in vain would be equal.
export async function until(isSo) {
  const begun = Date.now();
  while (!(await isSo())) {
    if (Date.now() - begun > GIVES_UP_AFTER_MS) throw new Error(`in vain: ${isSo}`);
    await pause(5);
  }
  return true;
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/// Ends a suite that has come to its end, whatever it has left open.
export const end = () => process.exit(0);

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
