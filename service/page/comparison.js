// Before and after, one over the other; of labels also the legend, and class and confidence under the pointer.

const SVG = "http://www.w3.org/2000/svg";

/** The pixels of a picture file as {width, height, data}. */
async function pixelsOf(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

function swatch([red, green, blue]) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 1 1");
  const square = document.createElementNS(SVG, "rect");
  square.setAttribute("width", "1");
  square.setAttribute("height", "1");
  square.setAttribute("fill", `rgb(${red} ${green} ${blue})`);
  svg.append(square);
  return svg;
}

export class Comparison {
  #root;
  #addresses = [];
  #mask = null;
  #confidence = null;
  #classes = [];

  constructor(root) {
    this.#root = root;
    const split = this.#find("split");
    split.addEventListener("input", () => this.#splitAt(split.value));
    const stage = this.#find("stage");
    stage.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse" ? event.buttons : true) this.#drag(event);
      this.#tell(event);
    });
    stage.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      this.#drag(event);
      this.#tell(event);
    });
    stage.addEventListener("pointerleave", () => (this.#find("pixel").textContent = ""));
  }

  async show({ model, file, picture, result, views, seconds }) {
    this.#addresses.forEach((address) => URL.revokeObjectURL(address));
    this.#addresses = [];
    const shown = views.overlay ?? result.blob;
    this.#find("before").src = this.#address(picture ? file : shown);
    this.#find("after").src = this.#address(shown);
    this.#find("after").classList.toggle("pixelated", model.kind === "labels");
    const download = this.#find("download");
    download.href = this.#address(result.blob);
    download.download = `${(file.name || "picture").replace(/\.[^.]*$/, "")}-${model.name}.png`;
    this.#classes = model.classes;
    this.#mask = model.kind === "labels" ? await pixelsOf(result.blob) : null;
    this.#confidence = views.confidence ? await pixelsOf(views.confidence) : null;
    this.#find("legend").replaceChildren(...model.classes.map((each) => {
      const item = document.createElement("li");
      item.append(swatch(each.colour), each.name);
      return item;
    }));
    const size = await createImageBitmap(result.blob);
    this.#facts({
      model: result.version,
      before: picture ? `${picture.width} × ${picture.height}` : "not shown by this browser",
      after: `${size.width} × ${size.height}, ${(result.blob.size / 1e6).toFixed(2)} MB`,
      time: `${seconds.toFixed(2)} s${this.#phases(result.timing)}`,
    });
    this.#root.hidden = false;
    this.#splitAt(this.#find("split").value);
  }

  #find(id) {
    return this.#root.querySelector(`#${id}`);
  }

  #address(blob) {
    const address = URL.createObjectURL(blob);
    this.#addresses.push(address);
    return address;
  }

  #splitAt(percent) {
    this.#find("stage").style.setProperty("--split", `${percent}%`);
  }

  #drag(event) {
    const box = this.#find("stage").getBoundingClientRect();
    const percent = Math.max(0, Math.min(100, (100 * (event.clientX - box.left)) / box.width));
    this.#find("split").value = percent;
    this.#splitAt(percent);
  }

  /** Class and confidence of the pixel under the pointer. */
  #tell(event) {
    if (!this.#mask) return;
    const box = this.#find("stage").getBoundingClientRect();
    const { width, height, data } = this.#mask;
    const x = Math.min(width - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * width)));
    const y = Math.min(height - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * height)));
    const at = 4 * (y * width + x);
    const found = this.#classes.find(({ colour }) => colour.every((value, i) => value === data[at + i]));
    const sure = this.#confidence ? `, ${Math.round(this.#confidence.data[at] / 2.55)} % sure` : "";
    this.#find("pixel").textContent = found ? `(${x}, ${y}): ${found.name}${sure}` : "";
  }

  #phases(timing) {
    const phases = [...timing.matchAll(/([a-z]+);dur=([\d.]+)/g)].map(([, name, ms]) => `${name} ${Math.round(ms)} ms`);
    return phases.length ? ` (${phases.join(", ")})` : "";
  }

  #facts(facts) {
    const rows = Object.entries(facts).flatMap(([name, value]) => {
      const term = document.createElement("dt");
      term.textContent = name;
      const text = document.createElement("dd");
      text.textContent = value;
      return [term, text];
    });
    this.#find("facts").replaceChildren(...rows);
  }
}
