// The page: a picture and a model are chosen and sent, and the prediction is compared with the picture.
import { JOB_PIXELS, Refusal, curlFor, isLoading, listModels, predict } from "./api.js";
import { Comparison } from "./comparison.js";
import { Result } from "./result.js";

const $ = (id) => document.getElementById(id);

const LOADING_MS = 1000;
const LOADING = "The models are being loaded …";

let models = [];
let chosen = null; // { file, address, width, height }; address is null where it cannot be shown here
let given = 0; // pictures so far: one that is read late may not be the last
let running = null; // an AbortController
let asking = null; // of all that the last prediction has asked for, also after it was shown
let needsKey = false;
let listing = 0; // lists of models so far: only the last is gone on with

const result = new Result();
const comparison = new Comparison((place) => result.tell(place));

function say(text) {
  $("status").textContent = text;
  $("problem").hidden = true;
}

function complain(text) {
  $("status").textContent = "";
  $("problem").textContent = text;
  $("problem").hidden = false;
}

function explain(error) {
  if (error.name === "AbortError") return say("Cancelled.");
  if (error instanceof Refusal && error.status === 401) {
    needsKey = true;
    $("key-field").hidden = false;
    $("key").focus();
  }
  // fetch tells of a lost connection by a TypeError.
  complain(error instanceof TypeError ? "The service cannot be reached. Is it running?" : error.message);
}

function chosenModel() {
  return models.find((model) => model.name === $("model").value);
}

/** What a model gives, and how good it is known to be. */
function describe(model) {
  const gives = {
    image: model.scale > 1 ? `A picture of ${model.scale} times the size` : "A picture of the same size",
    labels: `${model.classes.length} classes: ${model.classes.map(({ name }) => name).join(", ")}`,
    map: `A value for every pixel, in ${model.map?.unit}`,
  }[model.kind];
  const measured = Object.entries(model.scores).find(([set]) => set !== "validation");
  if (!measured) return gives;
  const [set, { scores, baseline }] = measured;
  const score = model.scores.validation?.monitor || Object.keys(scores)[0];
  if (scores[score] === undefined || baseline[score] === undefined) return gives;
  const digits = (value) => value.toPrecision(value < 1 ? 3 : 4);
  return `${gives}. Measured on ${set}: ${score} ${digits(scores[score])}, the trivial answer ${digits(baseline[score])}.`;
}

function update() {
  const model = chosenModel();
  $("about").textContent = model ? describe(model) : "";
  $("run").disabled = !chosen || !model || running !== null;
  $("cancel").hidden = running === null;
  $("progress").hidden = running === null;
}

/** Puts the models into the menu, which is left alone where they are the same. */
function list(listed) {
  // Of several versions the bare name means the last.
  const byName = new Map(listed.map((model) => [model.name, model]));
  models = [...byName.values()];
  const menu = $("model");
  const before = menu.value;
  if (models.map(({ name }) => name).join() !== [...menu.options].map(({ text }) => text).join()) {
    menu.replaceChildren(...models.map(({ name }) => new Option(name)));
    if (byName.has(before)) menu.value = before;
  }
  update();
}

async function loadModels() {
  const turn = ++listing;
  const isSilent = () => running === null && $("status").textContent === "" && $("problem").hidden;
  try {
    while (true) {
      const listed = await listModels($("key").value);
      if (turn !== listing) return;
      list(listed);
      const loading = await isLoading();
      if (turn !== listing) return;
      if (!loading) break;
      if (isSilent()) say(LOADING);
      await new Promise((go) => setTimeout(go, LOADING_MS));
      if (turn !== listing) return;
    }
    if ($("status").textContent === LOADING) say("");
    if (models.length === 0) complain("This service has no models.");
  } catch (error) {
    if (turn === listing) explain(error);
  }
}

/** `aloud`: say which it is, where no field has the focus that would. */
async function take([file], aloud = false) {
  if (!file) return;
  const turn = ++given;
  asking?.abort();
  if (chosen?.address) URL.revokeObjectURL(chosen.address);
  chosen = null;
  result.hide();
  update();
  const size = await createImageBitmap(file).catch(() => null);
  const { width, height } = size ?? { width: 1, height: 1 };
  size?.close();
  if (turn !== given) return;
  const name = file.name || "pasted picture";
  if (size) {
    chosen = { file, address: URL.createObjectURL(file), width, height };
    $("chosen").textContent = `${name}, ${width} × ${height} pixels`;
  } else {
    chosen = { file, address: null, width, height };
    $("chosen").textContent = `${name}: not shown by this browser; the service may still read it`;
  }
  comparison.showBefore(chosen.address, chosen.width, chosen.height);
  say(aloud ? $("chosen").textContent : "");
  update();
}

/** A picture that came by another way than the field, which then holds it too. */
function put({ files }) {
  if (files.length === 0) return;
  $("file").files = files;
  take(files, true);
}

async function run() {
  const model = chosenModel();
  if (!chosen || !model || running) return;
  const order = chosen;
  asking?.abort();
  const controller = (running = asking = new AbortController());
  const byKeyboard = document.activeElement === $("run");
  $("progress").removeAttribute("value");
  say("Predicting …");
  update();
  if (byKeyboard) $("cancel").focus(); // a button that cannot be pressed loses it
  const progress = (share, eta) => {
    $("progress").value = share;
    say(`Predicting … ${Math.round(100 * share)} %${eta ? `, about ${Math.ceil(eta)} s left` : ""}`);
  };
  const busy = (reason) => {
    const what = reason instanceof Refusal ? "The service is busy" : "The connection was lost";
    say(reason ? `${what}; it is asked again …` : "Predicting …");
  };
  const options = { key: $("key").value, signal: controller.signal, busy };
  // A file that this browser cannot read is taken for a large one by its bytes.
  const pixels = order.address ? order.width * order.height : order.file.size;
  const ask = (view, told = busy) => predict(model, order.file, pixels, { ...options, view, busy: told });
  const started = performance.now();
  try {
    const answer = await predict(model, order.file, pixels, { ...options, progress });
    const seconds = (performance.now() - started) / 1000;
    $("curl").textContent = curlFor(model, order.file.name || "picture.png", pixels, needsKey);
    const after = await result.show({ model, order, answer, seconds, ask, asJob: pixels > JOB_PIXELS });
    if (chosen !== order) return;
    // What cannot be shown stands alone: there is nothing to compare.
    comparison.showBoth(after.shown ? order.address : null, after.element, after.width, after.height);
    $("stage").scrollIntoView({ block: "nearest" }); // on a phone it is below
    say(`Done in ${seconds.toFixed(1)} s.`);
  } catch (error) {
    explain(error);
  } finally {
    if (chosen !== order) result.hide(); // another picture was chosen meanwhile
    running = null;
    const back = document.activeElement === $("cancel");
    update();
    if (back) $("run").focus();
  }
}

$("order").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
$("cancel").addEventListener("click", () => running?.abort());
$("model").addEventListener("change", update);
$("key").addEventListener("change", () => {
  if (!running) say("");
  loadModels();
});
$("file").addEventListener("change", () => take($("file").files));
$("copy").hidden = !navigator.clipboard; // there on localhost and by HTTPS alone
$("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText($("curl").textContent);
  say("Copied.");
});
addEventListener("paste", (event) => put(event.clipboardData));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  put(event.dataTransfer);
});
loadModels();
