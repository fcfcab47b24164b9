// A canvas to draw a digit on, and its picture as the network was taught to see: 8x8 cells of 4x4 dots, 0..16.

const CELLS = 8;
const DOTS = 32; // dots per side
const PEN = 0.07; // of the canvas' side

export class Pad {
  private readonly context: CanvasRenderingContext2D;
  private last: { x: number; y: number } | undefined;
  private example: readonly number[] | undefined; // shown, and not drawn over since

  /** `changed` is called while a stroke is drawn. */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly changed: () => void,
  ) {
    this.context = canvas.getContext("2d", { willReadFrequently: true })!;
    canvas.addEventListener("pointerdown", (event) => this.start(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, () => (this.last = undefined));
    this.clear();
  }

  clear(): void {
    this.example = undefined;
    this.context.fillStyle = "#ffffff";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  /** Shows the cells of an example. */
  show(cells: readonly number[]): void {
    this.clear();
    this.example = cells;
    const size = this.canvas.width / (CELLS + 2); // a margin of one cell
    cells.forEach((cell, i) => {
      this.context.fillStyle = `rgb(11 59 46 / ${cell / 16})`;
      this.context.fillRect(((i % CELLS) + 1) * size, (Math.floor(i / CELLS) + 1) * size, size + 1, size + 1);
    });
  }

  /** What was drawn, moved and scaled to fill the height as the set's digits do; undefined when nothing was. */
  cells(): readonly number[] | undefined {
    if (this.example) return this.example;
    const ink = this.ink();
    if (!ink) return undefined;
    const dots = document.createElement("canvas");
    dots.width = dots.height = DOTS;
    const context = dots.getContext("2d", { willReadFrequently: true })!;
    const scale = DOTS / Math.max(ink.width, ink.height);
    const width = ink.width * scale;
    const height = ink.height * scale;
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, DOTS, DOTS);
    context.drawImage(
      this.canvas,
      ...[ink.left, ink.top, ink.width, ink.height],
      ...([(DOTS - width) / 2, (DOTS - height) / 2, width, height] as const),
    );
    const { data } = context.getImageData(0, 0, DOTS, DOTS);
    const cells = new Array<number>(CELLS * CELLS).fill(0);
    for (let dot = 0; dot < DOTS * DOTS; dot++) {
      const cell = (dot / DOTS / 4) | 0;
      cells[cell * CELLS + (((dot % DOTS) / 4) | 0)]! += data[4 * dot]! < 128 ? 1 : 0;
    }
    return cells;
  }

  /** The smallest rectangle around everything dark. */
  private ink(): { left: number; top: number; width: number; height: number } | undefined {
    const { width, height } = this.canvas;
    const { data } = this.context.getImageData(0, 0, width, height);
    let [left, top, right, bottom] = [width, height, -1, -1];
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        if (data[4 * (y * width + x)]! < 128) {
          left = Math.min(left, x);
          right = Math.max(right, x);
          top = Math.min(top, y);
          bottom = Math.max(bottom, y);
        }
    return right < 0 ? undefined : { left, top, width: right - left + 1, height: bottom - top + 1 };
  }

  private start(event: PointerEvent): void {
    if (this.example) this.clear();
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.place(event);
    this.move(event);
  }

  private move(event: PointerEvent): void {
    if (!this.last) return;
    const next = this.place(event);
    this.context.strokeStyle = "#0b3b2e";
    this.context.lineWidth = this.canvas.width * PEN;
    this.context.lineCap = this.context.lineJoin = "round";
    this.context.beginPath();
    this.context.moveTo(this.last.x, this.last.y);
    this.context.lineTo(next.x, next.y);
    this.context.stroke();
    this.last = next;
    this.changed();
  }

  private place(event: PointerEvent): { x: number; y: number } {
    const shown = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / shown.width;
    return { x: (event.clientX - shown.left) * scale, y: (event.clientY - shown.top) * scale };
  }
}
