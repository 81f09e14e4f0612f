// What came back: the element that shows it, legend, facts, download, and the value under the pointer.
import { Labels, pixelsOf } from "./labels.js";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function make(tag, text, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...[text].flat());
  return element;
}

function swatch([red, green, blue]) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 1 1");
  svg.setAttribute("aria-hidden", "true");
  const square = document.createElementNS(SVG, "rect");
  square.setAttribute("width", "1");
  square.setAttribute("height", "1");
  square.setAttribute("fill", `rgb(${red} ${green} ${blue})`);
  svg.append(square);
  return svg;
}

/** Width and height of a PNG: in its first header, which is there whatever a browser can show. */
async function sizeOf(blob) {
  const header = new DataView(await blob.slice(16, 24).arrayBuffer());
  return { width: header.getUint32(0), height: header.getUint32(4) };
}

export class Result {
  #addresses = [];
  #labels = null;
  #confidence = null;
  #values = null; // of a map: { pixels, map }

  hide() {
    $("details").hidden = true;
    $("legend").replaceChildren();
    $("pixel").textContent = "";
    this.#labels = this.#confidence = this.#values = null;
  }

  /**
   * Fills in all but the comparison; `ask(view)` gives another view of the same prediction, for which
   * it is made once more.
   *
   * The element to compare with, whether it shows the result, which a browser may not be able to, and
   * the size of the result: {element, shown, width, height}.
   */
  async show({ model, order, answer, seconds, ask, asJob }) {
    this.#addresses.forEach((address) => URL.revokeObjectURL(address));
    this.#addresses = [];
    this.hide();
    const size = await sizeOf(answer.blob);
    const stem = (order.file.name || "picture").replace(/\.[^.]*$/, "");
    $("download").href = this.#address(answer.blob);
    $("download").download = `${stem}-${model.name}.png`;
    this.#facts({
      Model: answer.version,
      Before: order.address ? `${order.width} × ${order.height}` : "not shown by this browser",
      After: `${size.width} × ${size.height}, ${(answer.blob.size / 1e6).toFixed(2)} MB`,
      Time: `${seconds.toFixed(2)} s`,
      ...this.#phases(answer.timing),
    });
    $("details").hidden = false;
    // Last: whatever becomes of it, the result can be downloaded.
    const picture = model.kind === "map" ? (await ask("colour")).blob : answer.blob;
    try {
      return { element: await this.#element(model, answer, picture, ask, asJob), shown: true, ...size };
    } catch {
      const element = make("p", "This browser cannot show it: the picture is too large or damaged.");
      return { element, shown: false, ...size };
    }
  }

  /** Tells the class or the value at a place, given as shares of width and height, or null. */
  tell(place) {
    $("pixel").textContent = place === null ? "" : this.#reading(...place);
  }

  /** What shows the result; it throws where this browser cannot. */
  async #element(model, answer, picture, ask, asJob) {
    if (model.kind === "labels") {
      this.#labels = new Labels(model.classes, await pixelsOf(answer.blob));
      this.#legend();
      if (!asJob) this.#askHowSure(this.#labels, ask);
      return this.#labels.canvas;
    }
    if (model.kind === "map") this.#values = { pixels: await pixelsOf(answer.blob), map: model.map };
    const element = make("img", [], { src: this.#address(picture), alt: "The prediction" });
    await element.decode();
    return element;
  }

  /** The result does not wait for it, and a large picture goes without: it is as much work again. */
  async #askHowSure(labels, ask) {
    try {
      const confidence = await pixelsOf((await ask("confidence", () => {})).blob);
      if (this.#labels === labels) this.#confidence = confidence;
    } catch {
      // The classes are told without it.
    }
  }

  #reading(shareX, shareY) {
    const source = this.#labels?.canvas ?? this.#values?.pixels;
    if (!source) return "";
    const [x, y] = [Math.floor(shareX * source.width), Math.floor(shareY * source.height)];
    if (this.#values) {
      const { pixels, map } = this.#values;
      const share = pixels.data[4 * (y * source.width + x)] / 255;
      return `(${x}, ${y}): about ${(map.low + share * (map.high - map.low)).toPrecision(3)} ${map.unit}`;
    }
    const at = 4 * (y * source.width + x);
    const sure = this.#confidence ? `, ${Math.round(this.#confidence.data[at] / 2.55)} % sure` : "";
    return `(${x}, ${y}): ${this.#labels.classes[this.#labels.idAt(x, y)].name}${sure}`;
  }

  /** A button for each class, which hides and shows it. */
  #legend() {
    const labels = this.#labels;
    $("legend").replaceChildren(...labels.classes.map(({ name, colour }, id) => {
      const share = `${(100 * labels.share(id)).toFixed(1)} %`;
      const button = make("button", [swatch(colour), `${name} ${share}`], { type: "button", className: "plain small" });
      button.ariaPressed = labels.shown[id];
      button.addEventListener("click", () => {
        labels.shown[id] = !labels.shown[id];
        button.ariaPressed = labels.shown[id];
        labels.draw();
      });
      return make("li", button);
    }));
  }

  #phases(timing) {
    const phases = [...timing.matchAll(/([a-z]+);dur=([\d.]+)/g)];
    if (phases.length === 0) return {};
    return { "of which": phases.map(([, name, ms]) => `${name} ${Math.round(ms)} ms`).join(", ") };
  }

  #facts(facts) {
    const rows = Object.entries(facts).flatMap(([name, value]) => [make("dt", name), make("dd", value)]);
    $("facts").replaceChildren(...rows);
  }

  #address(blob) {
    const address = URL.createObjectURL(blob);
    this.#addresses.push(address);
    return address;
  }
}
