import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Interfaces } from './addresses.ts';
import type { MemberConfig } from './member-config.ts';
import { lostFixedAddresses, ownAddresses, relocated } from './relocation.ts';

const LOOK_MS = 2_000;

export interface AddressWatchModules {
  /** Where this node says that it is; undefined while it is in no swarm, or not yet. */
  config: () => MemberConfig | undefined;
  /** Cheap; false also when it cannot be told. */
  hasAddress: (address: string) => Promise<boolean>;
  all: () => Promise<Interfaces>;
  /** Takes the node to where its host is now. */
  move: () => Promise<void>;
  clock: Clock;
  log: Log;
}

/**
 * Looks whether the host still has the addresses by which the swarm knows this node, and takes it to the new ones when it was renumbered.
 * Two looks must agree: a lease that is renewed may take the address away for a moment.
 */
export class AddressWatch implements Startable {
  readonly #modules: AddressWatchModules;
  readonly #abort = new AbortController();
  #watching: Promise<void> | undefined;
  /** What the last look would have moved to. */
  #seen = '';
  /** The last complaint, so that it is made once. */
  #complaint = '';

  constructor(modules: AddressWatchModules) {
    this.#modules = modules;
  }

  async start(): Promise<void> {
    this.#watching = this.#watch();
    await Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error('the daemon stops'));
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#abort;
    for (;;) {
      await sleep(this.#modules.clock, LOOK_MS, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#look();
      } catch (error) {
        this.#seen = '';
        this.#complain(messageOf(error));
      }
    }
  }

  async #look(): Promise<void> {
    const { config, hasAddress, all, move, log } = this.#modules;
    const now = config();
    if (now === undefined) return this.#allIsWell();
    const present = await Promise.all([...new Set(ownAddresses(now))].map(hasAddress));
    if (!present.includes(false)) return this.#allIsWell();
    const interfaces = await all();
    const lost = lostFixedAddresses(now, interfaces);
    if (lost.length > 0) throw new Error(lost.map(textOfLost).join('; '));
    const next = relocated(now, interfaces);
    if (next === now) return this.#allIsWell();
    const seen = JSON.stringify(next);
    if (seen !== this.#seen) {
      this.#seen = seen;
      return;
    }
    log.warn({ from: now.advertise.host, to: next.advertise.host }, 'this host was renumbered, the node follows');
    await move();
    this.#allIsWell();
  }

  #allIsWell(): void {
    this.#seen = '';
    if (this.#complaint !== '') this.#modules.log.info({}, 'this host has the addresses of its node again');
    this.#complaint = '';
  }

  #complain(text: string): void {
    if (text === this.#complaint) return;
    this.#complaint = text;
    this.#modules.log.error({ error: text }, 'the other nodes cannot reach this one where it says that it is');
  }
}

function textOfLost({ address, option, former }: ReturnType<typeof lostFixedAddresses>[number]): string {
  return (
    `${address}, given with --${option}, is no longer an address of this host. Give it back to interface ${former}, or restart the daemon, ` +
    `which then takes the address that ${former} has, or leave the swarm and join it with another --${option}`
  );
}
