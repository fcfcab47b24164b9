// Runs a model many times with threads that start late, one after the other, and stop at the end. Prints JSON: runs that
// gave other bytes than the first, which no thread helped with; threads that came; threads that left.
//   node threads.mjs module.wasm model.lace threads runs
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

const STACK_BYTES = 65536; // LW_WEB_STACK_BYTES
const [BYTES, DTYPE] = [5, 2]; // LW_WEB_TENSOR_*
const F32 = 1;

async function help({ module, memory, worker, stackEnd }) {
  await sleep(worker * 100);
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  exports.__stack_pointer.value = stackEnd;
  parentPort.postMessage("came");
  exports.lw_web_worker(worker);
  parentPort.postMessage("left");
}

async function drive(modulePath, modelPath, threads, runs) {
  const module = new WebAssembly.Module(readFileSync(modulePath));
  const memory = new WebAssembly.Memory({ initial: 1024, maximum: 1024, shared: true });
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  let top = exports.__heap_base.value;
  const reserve = (bytes) => {
    const address = Math.ceil(top / 64) * 64;
    top = address + bytes;
    return address;
  };
  const array = (address, slots) => Array.from(new Float64Array(memory.buffer, address, slots));

  const file = readFileSync(modelPath);
  const at = reserve(file.length);
  new Uint8Array(memory.buffer).set(file, at);
  exports.lw_web_configure(0, 255, threads);
  const need = exports.lw_web_work_bytes(at, file.length);
  if (exports.lw_web_create(at, file.length, reserve(need), need) !== 0) throw new Error("refused");
  const [inputCount, outputCount] = array(exports.lw_web_model(), 2);
  const place = (tensor) => ({ address: reserve(tensor[BYTES]), bytes: tensor[BYTES], dtype: tensor[DTYPE] });
  const inputs = Array.from({ length: inputCount }, (_, i) => place(array(exports.lw_web_input(i), 11)));
  const outputs = Array.from({ length: outputCount }, (_, i) => place(array(exports.lw_web_output(i), 11)));
  for (const { address, bytes, dtype } of inputs) {
    const values =
      dtype === F32
        ? new Float32Array(memory.buffer, address, bytes / 4)
        : new Uint8Array(memory.buffer, address, bytes);
    values.forEach((_, i) => (values[i] = dtype === F32 ? Math.sin(i) : i % 128));
  }
  const list = (tensors) => {
    const address = reserve(4 * tensors.length);
    new Uint32Array(memory.buffer, address, tensors.length).set(tensors.map((t) => t.address));
    return address;
  };
  const [given, wanted] = [list(inputs), list(outputs)];
  const run = () => {
    if (exports.lw_web_run(given, wanted) !== 0) throw new Error("the run failed");
    return outputs
      .map(({ address, bytes }) => Buffer.from(memory.buffer, address, bytes).toString("base64"))
      .join();
  };

  const counts = { different: 0, came: 0, left: 0 };
  for (let worker = 1; worker < threads; worker++) {
    const workerData = { module, memory, worker, stackEnd: reserve(STACK_BYTES) + STACK_BYTES };
    new Worker(new URL(import.meta.url), { workerData }).on("message", (event) => counts[event]++);
  }
  const first = run();
  for (let i = 0; i < runs || counts.came < threads - 1; i++) {
    counts.different += run() !== first;
    if (i % 50 === 0) await sleep(i % 100 === 0 ? 1 : 10); // threads fall asleep in between, or do not
  }
  exports.lw_web_stop();
  while (counts.left < threads - 1) await sleep(1);
  console.log(JSON.stringify(counts));
}

if (isMainThread) {
  const [modulePath, modelPath, threads, runs] = process.argv.slice(2);
  await drive(modulePath, modelPath, Number(threads), Number(runs));
} else {
  await help(workerData);
}
