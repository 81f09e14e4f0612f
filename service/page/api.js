// The calls of the HTTP contract (/openapi.json), and nothing of the page.

// A larger picture is sent as a job: it shows its progress and outlives a lost connection.
const JOB_PIXELS = 4_000_000;
const POLL_MS = 500;

export class Refusal extends Error {
  constructor(status, problem) {
    const parts = [problem.title, problem.detail].filter(Boolean).join(": ");
    super(problem.expected ? `${parts} (expected ${problem.expected}, got ${problem.got})` : parts);
    this.status = status;
  }
}

async function call(path, key, options = {}) {
  const headers = { ...(options.headers ?? {}), ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const reply = await fetch(path, { ...options, headers });
  if (!reply.ok && reply.status !== 304) {
    const problem = await reply.json().catch(() => ({ title: `The service answered ${reply.status}` }));
    throw new Refusal(reply.status, problem);
  }
  return reply;
}

export async function listModels(key) {
  return (await (await call("/v1/models", key)).json()).models;
}

function address(model, what, view) {
  const query = view ? `?view=${view}` : "";
  return `/v1/models/${encodeURIComponent(model.name)}/${what}${query}`;
}

export function curlFor(model, view, fileName, needsKey) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const key = needsKey ? ` -H "Authorization: Bearer $KEY"` : "";
  const url = location.origin + address(model, "predict", view);
  return `curl${key} --data-binary ${quoted("@" + fileName)} ${quoted(url)} -o prediction.png`;
}

/** The prediction as {blob, timing, version}; `progress` is called with 0 to 1 for a job. */
export async function predict(model, file, pixels, { view, key, signal, progress }) {
  if (pixels <= JOB_PIXELS) {
    const options = { method: "POST", body: file, signal };
    const reply = await call(address(model, "predict", view), key, options);
    return {
      blob: await reply.blob(),
      timing: reply.headers.get("Server-Timing") ?? "",
      version: reply.headers.get("X-Model") ?? model.name,
    };
  }
  const sent = await call(address(model, "jobs", view), key, { method: "POST", body: file, signal });
  const job = sent.headers.get("Location");
  try {
    let state = await sent.json();
    while (state.state === "queued" || state.state === "running") {
      progress(state.progress, state.eta_s);
      await new Promise((go) => setTimeout(go, POLL_MS));
      state = await (await call(job, key, { signal })).json();
    }
    if (state.state !== "done") throw new Refusal(0, state.error ?? { title: `The job was ${state.state}` });
    const reply = await call(`${job}/result`, key, { signal });
    return { blob: await reply.blob(), timing: "", version: reply.headers.get("X-Model") ?? model.name };
  } finally {
    call(job, key, { method: "DELETE" }).catch(() => {});
  }
}
