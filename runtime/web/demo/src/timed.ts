// A run of the network with the time it took.

import type { Session, Tensors } from "lacewing";

/** Outputs by name, and milliseconds. */
export async function timedRun(
  session: Session,
  inputs: Tensors,
): Promise<{ output: Awaited<ReturnType<Session["run"]>>; ms: number }> {
  const before = performance.now();
  const output = await session.run(inputs);
  return { output, ms: performance.now() - before };
}
