// Before and after, one over the other: a divider between them, and enlargement.

const $ = (id) => document.getElementById(id);

// Of the window's height, so that the controls below stay in sight.
const FIT_VH = 72;

export class Comparison {
  #size = [1, 1];
  #share = 0.5;
  #zoom = 0;

  /** `pointed` is told where the pointer is, as shares of width and height, or null. */
  constructor(pointed) {
    $("split").addEventListener("input", () => this.#splitAt($("split").value / 100));
    $("zoom").addEventListener("change", () => this.#enlarge(Number($("zoom").value)));
    $("view").addEventListener("scroll", () => this.#place());
    new ResizeObserver(() => this.#place()).observe($("pair"));
    new ResizeObserver(() => this.#place()).observe($("view"));

    const divider = $("divider");
    divider.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      divider.setPointerCapture(event.pointerId);
    });
    divider.addEventListener("pointermove", (event) => {
      if (!divider.hasPointerCapture(event.pointerId)) return;
      const [left, right] = this.#visible();
      const share = (event.clientX - left) / (right - left);
      this.#splitAt(Math.max(0, Math.min(1, share)));
      $("split").value = 100 * this.#share;
    });

    const point = (event) => {
      const box = $("pair").getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      pointed(x >= 0 && x < 1 && y >= 0 && y < 1 ? [x, y] : null);
    };
    $("frame").addEventListener("pointermove", point);
    $("frame").addEventListener("pointerdown", point);
    $("frame").addEventListener("pointerleave", () => pointed(null));
  }

  /** Shows one picture alone: `address` may be null where this browser cannot show it. */
  showBefore(address, width, height) {
    $("empty").hidden = address !== null;
    $("frame").hidden = address === null;
    $("controls").hidden = true;
    this.#show(address, [], width, height);
  }

  /** Shows `after`, an element, beside the picture before (none where `address` is null). */
  showBoth(address, after, width, height) {
    $("empty").hidden = true;
    $("frame").hidden = false;
    $("controls").hidden = false;
    this.#show(address, [after], width, height);
  }

  #show(address, after, width, height) {
    $("stage").classList.toggle("alone", address === null || after.length === 0);
    $("before").hidden = address === null;
    if (address !== null) $("before").src = address;
    $("after").replaceChildren(...after);
    this.#size = [width, height];
    this.#enlarge(after.length ? this.#zoom : 0);
  }

  /** Gives a pixel of the result `zoom` pixels of the page (0: as many as fit); the middle stays. */
  #enlarge(zoom) {
    const view = $("view");
    const middle = this.#middle();
    const [width, height] = this.#size;
    if ($("controls").hidden === false) this.#zoom = zoom;
    $("pair").style.aspectRatio = `${width} / ${height}`;
    $("pair").style.width = zoom ? `${zoom * width}px` : `min(100%, ${(FIT_VH * width) / height}vh)`;
    view.tabIndex = zoom ? 0 : -1;
    const moved = this.#middle();
    view.scrollLeft += (middle[0] - moved[0]) * $("pair").clientWidth;
    view.scrollTop += (middle[1] - moved[1]) * $("pair").clientHeight;
    this.#place();
  }

  /** What of the picture is in the middle of its frame, as shares of width and height. */
  #middle() {
    const pair = $("pair").getBoundingClientRect();
    const view = $("view").getBoundingClientRect();
    return [
      (view.left + $("view").clientWidth / 2 - pair.left) / (pair.width || 1),
      (view.top + $("view").clientHeight / 2 - pair.top) / (pair.height || 1),
    ];
  }

  #splitAt(share) {
    this.#share = share;
    this.#place();
  }

  /** Left and right of the part of the picture that is in sight, as x of the window. */
  #visible() {
    const pair = $("pair").getBoundingClientRect();
    const view = $("view").getBoundingClientRect();
    return [Math.max(pair.left, view.left), Math.min(pair.right, view.left + $("view").clientWidth)];
  }

  #place() {
    const [left, right] = this.#visible();
    const frame = $("frame").getBoundingClientRect();
    const x = left + this.#share * (right - left);
    const alone = $("stage").classList.contains("alone");
    const hidden = alone ? 0 : x - $("pair").getBoundingClientRect().left;
    $("after").style.clipPath = `inset(0 0 0 ${hidden}px)`;
    $("divider").style.left = `${x - frame.left}px`;
    // The words stay within the picture.
    $("frame").style.setProperty("--left", `${left - frame.left}px`);
    $("frame").style.setProperty("--right", `${frame.right - right}px`);
  }
}
