// The demo: a task, a model (dense or sparse), a picture; whatever changes, the answer follows.

import type { Session } from "lacewing";
import { type Answer, drawMarks } from "./answer.js";
import { nameObject, readDigit } from "./classes.js";
import { findFaces } from "./faces.js";
import {
  engineBytes,
  listClasses,
  listTasks,
  openModel,
  photoAddress,
  type TaskModels,
  type TaskName,
} from "./models.js";
import { Pad } from "./pad.js";
import {
  type Camera,
  fetchPicture,
  openCamera,
  openFile,
  type Picture,
  pixels,
  toPicture,
} from "./pictures.js";
import {
  element,
  kilobytes,
  make,
  showAnswer,
  showFacts,
  showProblem,
  showProgress,
  showSpeed,
} from "./view.js";

const MEASURED_RUNS = 50; // of a still picture: browsers compile better once code is hot, so early runs must be forgotten
const REMEMBERED_RUNS = 25; // the median of these is shown

const missingTasks: string[] = []; // sentences for the reader
const screen = element<HTMLCanvasElement>("picture");
const sparseSwitch = element<HTMLButtonElement>("sparse");
const cameraButton = element<HTMLButtonElement>("camera");
const pad = new Pad(element<HTMLCanvasElement>("pad"), () => void update());

let tasks: Awaited<ReturnType<typeof listTasks>> = {};
let classes: string[] = [];
let task: TaskName = "digits";
let sparse = true;
let picture: Picture | undefined;
let camera: Camera | undefined;
let turn = 0; // counts changes: work that finds another number than it began with is out of date
let times: { dense: number[]; sparse: number[] } = { dense: [], sparse: [] };

/** Answers for what is chosen now; measures while nothing changes. */
async function update(): Promise<void> {
  const mine = ++turn;
  try {
    const session = await open();
    if (mine !== turn) return;
    if (task === "digits") await answerDigit(session, mine);
    else if (camera) await answerCamera(session, mine);
    else if (picture) await answerPicture(session, picture, mine);
    else element("sentence").textContent = "Choose a photo to begin.";
  } catch (error) {
    if (mine === turn) fail(error);
  }
}

async function open(): Promise<Session> {
  const model = chosen().models[sparse ? 1 : 0];
  const session = await openModel(model, showProgress);
  showProgress(undefined);
  showFacts({
    Engine: `${session.backend.name}, ${session.backend.threads} thread${session.backend.threads > 1 ? "s" : ""}`,
    Why: `${session.backend.why}.`,
    Downloaded: `engine ${kilobytes(engineBytes())}, model ${kilobytes(model.bytes)}`,
    Multiplications: `${(model.kept / 1e6).toFixed(1)} of ${(model.macs / 1e6).toFixed(1)} million`,
  });
  return session;
}

function chosen(): TaskModels {
  return tasks[task]!;
}

/** The task's answer to a picture. */
function analyse(session: Session, data: ImageData): Promise<Answer> {
  return task === "faces" ? findFaces(session, data) : nameObject(session, data, classes);
}

async function answerPicture(session: Session, source: Picture, mine: number): Promise<void> {
  const data = pixels(source);
  await measured(
    () => analyse(session, data),
    mine,
    MEASURED_RUNS,
    (answer) => paint(source, answer),
  );
}

async function answerDigit(session: Session, mine: number): Promise<void> {
  const cells = pad.cells();
  if (!cells) {
    showAnswer({ sentence: "Draw a digit.", guesses: [], marks: [], ms: 0 });
    return;
  }
  await measured(() => readDigit(session, cells), mine, MEASURED_RUNS, showAnswer);
}

async function answerCamera(session: Session, mine: number): Promise<void> {
  while (mine === turn && camera) {
    const { video } = camera;
    picture = toPicture(video, video.videoWidth, video.videoHeight, picture);
    const data = pixels(picture);
    const source = picture;
    await measured(
      () => analyse(session, data),
      mine,
      1,
      (answer) => paint(source, answer),
    );
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
}

/** Runs several times, shows the first answer at once and the times as they come. */
async function measured(
  run: () => Promise<Answer>,
  mine: number,
  runs: number,
  show: (answer: Answer) => void,
): Promise<void> {
  for (let i = 0; i < runs; i++) {
    const answer = await run();
    if (mine !== turn) return;
    const list = times[sparse ? "sparse" : "dense"];
    list.push(answer.ms);
    if (list.length > REMEMBERED_RUNS) list.shift();
    if (i === 0) show(answer);
    showSpeed(median(times.dense), median(times.sparse), sparse);
    await new Promise((resolve) => setTimeout(resolve)); // clicks come first
    if (mine !== turn) return;
  }
}

function median(numbers: number[]): number | undefined {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}

function paint(source: Picture, answer: Answer): void {
  const context = screen.getContext("2d")!;
  screen.width = source.width;
  screen.height = source.height;
  context.drawImage(source, 0, 0);
  drawMarks(context, answer.marks);
  screen.setAttribute("aria-label", `The picture. ${answer.sentence}`);
  element("hint").hidden = true;
  showAnswer(answer);
}

function fail(error: unknown): void {
  showProgress(undefined);
  showProblem(error instanceof Error ? error.message : String(error));
}

/** Makes another picture the one that is asked about. */
async function take(source: () => Promise<Picture>): Promise<void> {
  const mine = ++turn;
  stopCamera();
  showProblem(undefined);
  try {
    const taken = await source();
    if (mine !== turn) return;
    picture = taken;
    await update();
  } catch (error) {
    fail(error);
  }
}

async function toggleCamera(): Promise<void> {
  showProblem(undefined);
  if (camera) {
    stopCamera();
    await update();
    return;
  }
  try {
    camera = await openCamera();
    picture = undefined;
    cameraButton.setAttribute("aria-pressed", "true");
    cameraButton.textContent = "Stop the camera";
    await update();
  } catch (error) {
    fail(error);
  }
}

function useSparse(on: boolean): void {
  sparse = on;
  sparseSwitch.setAttribute("aria-checked", String(on));
}

function stopCamera(): void {
  camera?.stop();
  camera = undefined;
  cameraButton.setAttribute("aria-pressed", "false");
  cameraButton.textContent = "Use the camera";
}

async function selectTask(name: TaskName): Promise<void> {
  task = name;
  useSparse(!chosen().denseFirst);
  times = { dense: [], sparse: [] };
  showProblem(undefined);
  showSpeed(undefined, undefined, sparse);
  element("photo-view").hidden = name === "digits";
  element("pad-view").hidden = name !== "digits";
  element("note").textContent = [chosen().note, ...missingTasks].join(" ");
  if (name === "digits") stopCamera();
  const photos = chosen().photos ?? [];
  element("photos").replaceChildren(...photos.map(photoButton));
  if (name !== "digits" && !camera && photos[0])
    await take(() => fetchPicture(photoAddress(photos[0]!.file)));
  else await update();
}

function photoButton({ file, alt }: { file: string; alt: string }): HTMLElement {
  const image = make("img") as HTMLImageElement;
  image.src = photoAddress(file);
  image.alt = alt;
  const button = make("button", "", image);
  button.addEventListener("click", () => void take(() => fetchPicture(image.src)));
  return make("li", "", button);
}

function exampleButton(cells: number[], digit: number): HTMLElement {
  const button = make("button", "", String(digit));
  button.addEventListener("click", () => {
    pad.show(cells);
    void update();
  });
  return button;
}

/** Connects the page's controls; the first task that has models is chosen. */
async function start(): Promise<void> {
  tasks = await listTasks();
  if (tasks.objects && tasks.objects.missing === undefined) classes = await listClasses();
  for (const radio of document.querySelectorAll<HTMLInputElement>("#tasks input")) {
    const name = radio.value as TaskName;
    const missing = tasks[name] ? tasks[name].missing : "it is not part of this build";
    radio.disabled = missing !== undefined;
    if (missing !== undefined)
      missingTasks.push(`“${radio.parentElement!.textContent!.trim()}” is missing: ${missing}.`);
    radio.addEventListener("change", () => void selectTask(name));
  }
  sparseSwitch.addEventListener("click", () => {
    useSparse(!sparse);
    void update();
  });
  element("clear").addEventListener("click", () => {
    pad.clear();
    void update();
  });
  element("examples").replaceChildren(...(tasks.digits?.examples ?? []).map(exampleButton));
  cameraButton.addEventListener("click", () => void toggleCamera());
  const file = element<HTMLInputElement>("file");
  file.addEventListener("change", () => {
    const [first] = file.files ?? [];
    if (first) void take(() => openFile(first, first.name));
    file.value = "";
  });
  acceptDrops(element("stage"));
  const first = document.querySelector<HTMLInputElement>("#tasks input:enabled");
  if (!first) throw new Error("This build has no models. Build the page again with make web-demo.");
  first.checked = true;
  void selectTask(first.value as TaskName);
}

/** Files dropped onto the stage or pasted anywhere. */
function acceptDrops(stage: HTMLElement): void {
  const frame = element("frame");
  const accept = (data: DataTransfer | null) => {
    const [first] = data?.files ?? [];
    if (first && task !== "digits") void take(() => openFile(first, first.name));
  };
  stage.addEventListener("dragover", (event) => {
    event.preventDefault();
    frame.classList.add("over");
  });
  stage.addEventListener("dragleave", () => frame.classList.remove("over"));
  stage.addEventListener("drop", (event) => {
    event.preventDefault();
    frame.classList.remove("over");
    accept(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => accept(event.clipboardData));
}

start().catch(fail);
