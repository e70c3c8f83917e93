/** Machines with a real sshd, for tests. */
import { FarMachine, type FarHostOptions } from "./far-machine.ts";
import { onTestFinished } from "./running-test.ts";
import { tempRoot } from "./temp-root.ts";

export { makeKey, readyNamespaces, SKIP_NAMESPACES, type FarHostOptions } from "./far-machine.ts";

/**
 * One machine. Made inside a test, it is gone when the test is over; made elsewhere, whoever makes
 * it removes it.
 */
export class FarHost extends FarMachine {
  /** Makes a machine, whose sshd answers. */
  static async start(options: FarHostOptions = {}): Promise<FarHost> {
    const far = new FarHost(tempRoot().root, options);
    try {
      onTestFinished(() => far.remove());
    } catch {
      // Not inside a test.
    }
    await far.make();
    return far;
  }
}
