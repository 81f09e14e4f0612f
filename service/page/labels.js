// A mask as classes: drawn over the picture, counted, and looked up.

const OPACITY = 150; // of 255: the picture stays visible below

/** The pixels of a picture file, as ImageData. */
export async function pixelsOf(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, context.canvas.width, context.canvas.height);
}

export class Labels {
  #ids;
  #width;

  /** Of a mask in the colours of its classes. */
  constructor(classes, { width, height, data }) {
    const packed = ([red, green, blue]) => (red << 16) | (green << 8) | blue;
    const idOf = new Map(classes.map(({ colour }, id) => [packed(colour), id]));
    this.classes = classes;
    this.shown = classes.map((_, id) => id > 0);
    this.#width = width;
    this.#ids = new Uint8Array(width * height);
    this.counts = classes.map(() => 0);
    for (let i = 0; i < this.#ids.length; i++) {
      const id = idOf.get(packed(data.subarray(4 * i, 4 * i + 3)));
      this.#ids[i] = id;
      this.counts[id]++;
    }
    this.canvas = document.createElement("canvas");
    Object.assign(this.canvas, { width, height, className: "labels" });
    this.draw();
  }

  /** The part of the picture that a class covers, 0 to 1. */
  share(id) {
    return this.counts[id] / this.#ids.length;
  }

  idAt(x, y) {
    return this.#ids[y * this.#width + x];
  }

  /** Draws the classes that are shown. */
  draw() {
    const { width, height } = this.canvas;
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(width, height);
    const words = new Uint32Array(image.data.buffer);
    const colours = this.classes.map(({ colour }, id) => {
      const bytes = Uint8Array.of(...colour, this.shown[id] ? OPACITY : 0);
      return new Uint32Array(bytes.buffer)[0];
    });
    for (let i = 0; i < words.length; i++) words[i] = colours[this.#ids[i]];
    context.putImageData(image, 0, 0);
  }
}
