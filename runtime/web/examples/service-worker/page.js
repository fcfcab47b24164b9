// Asks the service worker for an answer.
await navigator.serviceWorker.register("service-worker.js", { type: "module" });
const { active } = await navigator.serviceWorker.ready;

/** The service worker's answer to one question. */
export function ask() {
  const { port1, port2 } = new MessageChannel();
  const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
  active.postMessage("ask", [port2]);
  return answer;
}

globalThis.ask = ask;
document.querySelector("button").onclick = async () => {
  document.querySelector("output").textContent = JSON.stringify(await ask());
};
