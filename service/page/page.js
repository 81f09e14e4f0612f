// The page: a picture and a model are chosen, sent, and the prediction is compared with the picture.
import { Refusal, curlFor, listModels, predict } from "./api.js";
import { Comparison } from "./comparison.js";

const $ = (id) => document.getElementById(id);
const state = { models: [], file: null, picture: null, running: null, needsKey: false };
const comparison = new Comparison($("result"));

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", wrong);
}

function chosenModel() {
  return state.models.find((model) => model.name === $("model").value);
}

function describe(model) {
  if (!model) return "";
  if (model.kind === "labels") return `${model.classes.length} classes: ${model.classes.map((c) => c.name).join(", ")}`;
  if (model.kind === "map") return `a value for every pixel, in ${model.map.unit}`;
  return model.scale > 1 ? `a picture of ${model.scale} times the size` : "a picture of the same size";
}

function update() {
  $("about").textContent = describe(chosenModel());
  $("run").disabled = !state.file || !chosenModel() || state.running !== null;
  $("cancel").hidden = state.running === null;
}

async function loadModels() {
  try {
    const byName = new Map((await listModels($("key").value)).map((model) => [model.name, model]));
    state.models = [...byName.values()];
    $("model").replaceChildren(...state.models.map((model) => new Option(model.name)));
    say(state.models.length ? "" : "The service has no models yet; reload in a moment.");
  } catch (error) {
    explain(error);
  }
  update();
}

function explain(error) {
  if (error.name === "AbortError") return say("Cancelled.");
  if (error instanceof Refusal && error.status === 401) {
    state.needsKey = true;
    $("key-field").hidden = false;
    $("key").focus();
  }
  const text = error instanceof TypeError ? "The service cannot be reached." : error.message;
  say(text, true);
}

async function take(file) {
  if (!file) return;
  state.file = file;
  state.picture = null;
  try {
    state.picture = await createImageBitmap(file);
    say(`${file.name || "pasted picture"}, ${state.picture.width} × ${state.picture.height} pixels`);
  } catch {
    // The service may read what this browser cannot show, such as TIFF.
    say(`${file.name}: this browser cannot show it; the service may still read it`);
  }
  update();
}

async function run(event) {
  event.preventDefault();
  const model = chosenModel();
  if (!state.file || !model || state.running) return;
  const { file, picture } = state;
  const pixels = picture ? picture.width * picture.height : file.size;
  state.running = new AbortController();
  $("progress").hidden = false;
  $("progress").removeAttribute("value");
  say("Predicting …");
  update();
  const options = {
    key: $("key").value,
    signal: state.running.signal,
    progress: (share, eta) => {
      $("progress").value = share;
      say(`Predicting … ${Math.round(100 * share)} %${eta ? `, about ${Math.ceil(eta)} s left` : ""}`);
    },
  };
  const started = performance.now();
  try {
    const result = await predict(model, file, pixels, options);
    const seconds = (performance.now() - started) / 1000;
    const views = { overlay: null, confidence: null };
    if (model.kind === "labels") {
      for (const view of Object.keys(views)) {
        views[view] = (await predict(model, file, pixels, { ...options, view })).blob;
      }
    }
    await comparison.show({ model, file, picture, result, views, seconds });
    $("curl").textContent = curlFor(model, null, file.name || "picture.png", state.needsKey);
    say(`Done in ${seconds.toFixed(1)} s.`);
  } catch (error) {
    explain(error);
  } finally {
    state.running = null;
    $("progress").hidden = true;
    update();
  }
}

$("order").addEventListener("submit", run);
$("cancel").addEventListener("click", () => state.running?.abort());
$("model").addEventListener("change", update);
$("key").addEventListener("change", loadModels);
$("file").addEventListener("change", () => take($("file").files[0]));
addEventListener("paste", (event) => take(event.clipboardData.files[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
addEventListener("dragleave", () => document.body.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  take(event.dataTransfer.files[0]);
});
loadModels();
