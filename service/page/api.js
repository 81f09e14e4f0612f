// The calls of the HTTP contract (/openapi.json), and nothing of the page.

// A larger picture is sent as a job: it shows its progress and outlives a lost connection.
export const JOB_PIXELS = 4_000_000;
const POLL_MS = 1000;
// Busy, too many of this key's requests, or restarting behind a proxy: a job goes on meanwhile.
const PASSING = [429, 502, 503];
const PAUSE_S = 3;
const TRIES = 40;
// Of a job whose answer is lost: what cannot be read from its file is lost each time.
const LOST_TRIES = 3;

/** An answer that says no, with a sentence that tells why. */
export class Refusal extends Error {
  constructor(status, problem, retryAfter) {
    const reason = [problem.title, problem.detail].filter(Boolean).join(": ");
    const expected = problem.expected ? `; expected ${problem.expected}` : "";
    const got = problem.expected && problem.got ? `, got ${problem.got}` : "";
    const again = retryAfter ? ` Try again in ${retryAfter} s.` : "";
    super(`${reason}${expected}${got}.${again}`);
    this.status = status;
    this.code = problem.code;
    this.retryAfter = Number(retryAfter) || PAUSE_S;
  }
}

async function call(path, key, options = {}) {
  const headers = key ? { ...options.headers, Authorization: `Bearer ${key}` } : options.headers;
  const reply = await fetch(path, { ...options, headers });
  if (!reply.ok) {
    const problem = await reply.json().catch(() => ({ title: `The service answered ${reply.status}` }));
    throw new Refusal(reply.status, problem, reply.headers.get("Retry-After"));
  }
  return reply;
}

export async function listModels(key) {
  return (await (await call("/v1/models", key)).json()).models;
}

/** Whether models are still being loaded. */
export async function isLoading() {
  return (await (await fetch("/readyz")).json()).loading.length > 0;
}

function address(model, what, view) {
  const query = view ? `?view=${view}` : "";
  return `/v1/models/${encodeURIComponent(model.name)}/${what}${query}`;
}

/** Command lines that give the same file. */
export function curlFor(model, fileName, pixels, needsKey) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const key = needsKey ? `  -H "Authorization: Bearer $KEY" \\\n` : "";
  const curl = (path) => `curl -f ${quoted(location.origin + path)} \\\n${key}`;
  const picture = `  --data-binary ${quoted(`@${fileName}`)}`;
  if (pixels <= JOB_PIXELS) return `${curl(address(model, "predict"))}${picture} \\\n  -o prediction.png`;
  return `${curl(address(model, "jobs"))}${picture}\n`
    + `# ID is in the answer. Once /v1/jobs/ID says "done":\n`
    + `${curl("/v1/jobs/ID/result")}  -o prediction.png`;
}

/**
 * The prediction as {blob, timing, version}.
 *
 * `progress` is told the share done, 0 to 1, and the seconds left (or null), of a job; `busy` is told
 * why the picture waits to be sent again, as while the model is loaded, and null once it is.
 */
export async function predict(model, file, pixels, { view, key, signal, progress = () => {}, busy = () => {} }) {
  const post = { method: "POST", body: file };
  if (pixels <= JOB_PIXELS) {
    const options = { signal, passes: isBusy, busy };
    return answer(model, await insist(address(model, "predict", view), key, { ...post, signal }, options));
  }
  // It is sent to its end whatever happens: only the answer names the job that is to be stopped.
  const headers = { "Idempotency-Key": anyKey() };
  const sending = insist(address(model, "jobs", view), key, { ...post, headers }, { signal, busy, lostTries: LOST_TRIES });
  // Nobody else knows this job: it is stopped, or its files are removed.
  const stop = () => sending.then((sent) => insist(nameOf(sent), key, LAST)).catch(() => {});
  addEventListener("pagehide", stop);
  try {
    const sent = await unlessAborted(signal, sending);
    const job = nameOf(sent);
    let state = await sent.json();
    while (state.state === "queued" || state.state === "running") {
      progress(state.progress, state.eta_s);
      await unlessAborted(signal, pause(POLL_MS));
      state = await (await insist(job, key, { signal })).json();
    }
    if (state.state !== "done") throw new Refusal(0, state.error ?? { title: `The job was ${state.state}` });
    return await answer(model, await insist(`${job}/result`, key, { signal }));
  } finally {
    removeEventListener("pagehide", stop);
    stop();
  }
}

const nameOf = (sent) => sent.headers.get("Location");

// It goes on after the page.
const LAST = { method: "DELETE", keepalive: true };

/** With it the same request, sent again, is the same job. `randomUUID` is there by HTTPS alone. */
function anyKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join("-");
}

const pause = (ms) => new Promise((go) => setTimeout(go, ms));

/** What `promise` gives; who aborts does not wait for it. */
async function unlessAborted(signal, promise) {
  let stop;
  const aborted = new Promise((_, fail) => {
    stop = () => fail(signal.reason);
  });
  signal?.addEventListener("abort", stop);
  try {
    signal?.throwIfAborted();
    return await Promise.race([promise, aborted]);
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

const isBusy = (error) => PASSING.includes(error.status) && error.code !== "model_failed";

/** What is lost is not told by the service: fetch throws a TypeError. */
const isLost = (error) => error instanceof TypeError;

/** A job outlives a lost connection too. */
const passesForJob = (error) => isLost(error) || isBusy(error);

/** As `call`, again after what will pass. */
async function insist(
  path,
  key,
  options,
  { signal = options.signal, passes = passesForJob, busy = () => {}, lostTries = TRIES } = {},
) {
  for (let tries = 1; ; tries++) {
    try {
      return await call(path, key, options);
    } catch (error) {
      if (!passes(error) || tries > (isLost(error) ? lostTries : TRIES)) throw error;
      busy(error);
      await unlessAborted(signal, pause(1000 * (error.retryAfter ?? PAUSE_S)));
      busy(null);
    }
  }
}

async function answer(model, reply) {
  return {
    blob: await reply.blob(),
    timing: reply.headers.get("Server-Timing") ?? "",
    version: reply.headers.get("X-Model") ?? model.name,
  };
}
