import type { LocalPort } from './overlay-state.ts';

/**
 * Which containers of an overlay have lost their link: somebody has removed the link or the namespace, and with its end in the overlay the
 * container's end is gone too. A port that was once in the kernel is lost as soon as it is not; one that was never seen there only at the
 * second audit in a row, since a Join may be about to make it.
 */
export class LostLinks {
  /** Ports that have been in the kernel. */
  #seen = new Set<string>();
  /** Ports that the last audit did not find. */
  #absent = new Set<string>();
  #lost: readonly string[] = [];

  /** Ports, in the order of the containers. */
  get ports(): readonly string[] {
    return this.#lost;
  }

  /** The port is in the kernel: it was made, or made again. */
  saw(port: string): void {
    this.#seen.add(port);
    this.#lost = this.#lost.filter((each) => each !== port);
  }

  /** At each audit. @returns what was not lost before. */
  note(local: readonly LocalPort[], present: { has(port: string): boolean }): string[] {
    const ports = local.map(({ link }) => link);
    const absent = ports.filter((port) => !present.has(port));
    const lost = absent.filter((port) => this.#seen.has(port) || this.#absent.has(port));
    const fresh = lost.filter((port) => !this.#lost.includes(port));
    this.#seen = new Set(ports.filter((port) => present.has(port) || this.#seen.has(port)));
    this.#absent = new Set(absent);
    this.#lost = lost;
    return fresh;
  }
}
