// What a task says about a picture, and how it is drawn.

/** A rectangle in picture pixels. */
export interface Mark {
  left: number;
  top: number;
  width: number;
  height: number;
  label: string;
}

export interface Answer {
  /** One sentence for everyone, screen readers included. */
  sentence: string;
  /** Likeliest first; share 0..1. */
  guesses: { label: string; share: number }[];
  marks: Mark[];
  /** Milliseconds of the network's run alone, without resizing and drawing. */
  ms: number;
}

const INK = "#0b3b2e";
const LINE = "#7ff0c4"; // seen on dark and, with its dark rim, on bright pictures

/** Draws marks over the picture that the canvas already shows. */
export function drawMarks(context: CanvasRenderingContext2D, marks: Mark[]): void {
  const unit = Math.max(2, Math.round(context.canvas.width / 200));
  context.font = `600 ${7 * unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  for (const mark of marks) {
    frame(context, mark, unit * 2.2, INK);
    frame(context, mark, unit, LINE);
    if (mark.label !== "") caption(context, mark, unit);
  }
}

function frame(context: CanvasRenderingContext2D, mark: Mark, width: number, color: string): void {
  context.lineWidth = width;
  context.strokeStyle = color;
  context.beginPath();
  context.roundRect(mark.left, mark.top, mark.width, mark.height, width * 2);
  context.stroke();
}

function caption(context: CanvasRenderingContext2D, mark: Mark, unit: number): void {
  const height = 11 * unit;
  const width = context.measureText(mark.label).width + 6 * unit;
  const left = Math.min(Math.max(0, mark.left), context.canvas.width - width);
  const above = mark.top - height - unit;
  const top = above >= 0 ? above : Math.min(mark.top + unit * 2, context.canvas.height - height);
  context.fillStyle = INK;
  context.beginPath();
  context.roundRect(left, top, width, height, 3 * unit);
  context.fill();
  context.fillStyle = "#ffffff";
  context.fillText(mark.label, left + 3 * unit, top + height / 2);
}
