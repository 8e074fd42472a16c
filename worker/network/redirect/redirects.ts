import type { Difference } from '../../../proto/objects/diagnosis/difference.ts';
import type { BackoffOptions } from '../../../proto/runtime/backoff.ts';
import type { Clock } from '../../../proto/runtime/clock.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { Random } from '../../../proto/runtime/random.ts';
import { RepairLoop } from '../../../proto/runtime/repair-loop.ts';
import { Drift } from '../drift.ts';
import { type PlacedRedirects, placeRedirects, planRedirects } from './plan-redirects.ts';
import { DEAD_REDIRECT, redirectDifferences } from './redirect-differences.ts';
import type { RedirectKernel } from './redirect-kernel.ts';
import {
  type DesiredRedirects,
  emptyLink,
  FAMILIES,
  type ObservedLink,
  type ObservedRedirects,
  type RedirectOperation,
} from './redirect-state.ts';

/** Packets go the longer way meanwhile: there is no hurry when it fails again and again. */
const BACKOFF: BackoffOptions = { minMs: 200, maxMs: 30_000, factor: 2, jitter: 0.3 };

export interface RedirectsModules {
  kernel: RedirectKernel;
  /** As of now; undefined: nothing of ours on any link. Whoever changes it calls `refresh`. */
  desired: () => DesiredRedirects | undefined;
  clock: Clock;
  random: Random;
  log: Log;
}

/**
 * Hands packets for containers of this host to them straight from the underlay link (redirect-state.ts).
 *
 * Each pass compares what should be with what is and carries out the difference; a failure is tried again with backoff. A pass looks at the
 * underlay link alone when the one before has succeeded on that link, and at all links of the host otherwise: at the start, when the
 * underlay moves to another link, when nothing is desired any more. So what an earlier life or a former underlay link has is removed.
 */
export class Redirects {
  readonly #modules: RedirectsModules;
  readonly #log: Log;
  readonly #drift = new Drift((placed: PlacedRedirects | undefined, observed: ObservedRedirects) =>
    redirectDifferences(placed, observed).filter(({ kind }) => kind !== DEAD_REDIRECT),
  );
  readonly #loop: RepairLoop;
  /** The underlay link when no other link has anything of ours. */
  #settledOn: string | undefined;
  /** Families that have been told to have no place. */
  #taken = '';

  constructor(modules: RedirectsModules) {
    this.#modules = modules;
    this.#log = modules.log.child({ module: 'worker/redirects' });
    this.#loop = new RepairLoop({
      backoff: BACKOFF,
      clock: modules.clock,
      random: modules.random,
      pass: () => this.#pass(),
      failed: (error, retryMs) => {
        if (retryMs !== undefined) this.#log.warn({ error, retryMs }, 'redirects are not as they should be');
      },
    });
  }

  /** What is desired may have changed, or a lower link was made or removed. */
  refresh(): void {
    this.#loop.refresh();
  }

  /** Resolves when the kernel has what is desired, or when that has failed once. Never rejects. */
  run(): Promise<void> {
    return this.#loop.run();
  }

  /** Compares with the kernel now. Never rejects. */
  audit(): Promise<void> {
    return this.#loop.run();
  }

  /** The kernel's state stays. */
  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** Repairs of what somebody else had changed, by kind of difference. */
  get repairs(): Record<string, number> {
    return this.#drift.counts;
  }

  /** What the kernel has otherwise than it should; it is looked at, and nothing is changed. @throws what the kernel's tools say. */
  async differences(): Promise<Difference[]> {
    const observed = await this.#modules.kernel.observe('all');
    return redirectDifferences(placeRedirects(this.#modules.desired(), observed), observed);
  }

  async #pass(): Promise<void> {
    const desired = this.#modules.desired();
    const { last } = this.#drift;
    if (desired === undefined && last !== undefined && last.desired === undefined) return;
    const link = desired?.underlay.link;
    const scope = link !== undefined && link === this.#settledOn ? [link] : 'all';
    this.#settledOn = undefined;
    const observed = await this.#modules.kernel.observe(scope);
    if (link !== undefined) this.#tell(link, observed.links.get(link) ?? emptyLink());
    const operations = planRedirects(desired, observed);
    if (operations.length > 0) {
      this.#note(operations, observed);
      await this.#modules.kernel.apply(operations);
    }
    this.#drift.reached(placeRedirects(desired, observed));
    this.#settledOn = link;
  }

  /** Where there is no place for ours, packets go the longer way: that is said once. */
  #tell(link: string, { qdisc, families }: ObservedLink): void {
    const taken = FAMILIES.filter((family) => qdisc === 'shared' || families[family].table === 'taken');
    if (taken.join() === this.#taken) return;
    this.#taken = taken.join();
    if (taken.length === 0) return;
    this.#log.warn({ link, families: taken }, 'no redirects: filters of somebody else are in their place');
  }

  #note(operations: readonly RedirectOperation[], observed: ObservedRedirects): void {
    const fields = { operations: operations.length, first: operations[0]?.kind };
    if (this.#drift.note(observed)) {
      this.#log.warn({ ...fields, repairs: this.repairs }, 'redirects have drifted and are repaired');
    } else this.#log.debug(fields, 'redirects are changed');
  }
}
