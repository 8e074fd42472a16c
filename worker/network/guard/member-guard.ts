import type { Difference } from '../../../proto/objects/diagnosis/difference.ts';
import type { BackoffOptions } from '../../../proto/runtime/backoff.ts';
import type { Clock } from '../../../proto/runtime/clock.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { Random } from '../../../proto/runtime/random.ts';
import { RepairLoop } from '../../../proto/runtime/repair-loop.ts';
import { Drift } from '../drift.ts';
import { isIpv4, isIpv6 } from '../overlay/address.ts';
import type { GuardKernel } from './guard-kernel.ts';
import type { DesiredGuard, GuardOperation, ObservedGuard } from './guard-state.ts';
import { MAX_MEMBERS } from './member-ruleset.ts';
import { guardDifferences, planGuard } from './plan-guard.ts';

const BACKOFF: BackoffOptions = { minMs: 200, maxMs: 5_000, factor: 2, jitter: 0.3 };
/** How often it is logged at most that packets are refused. */
const TELL_MS = 60_000;

/** VNIs of the overlays here; `kept`: it is not known yet whether there are any, and all is left as it is. */
export type GuardNeed = readonly number[] | 'kept';

export interface MemberGuardModules {
  kernel: GuardKernel;
  clock: Clock;
  random: Random;
  log: Log;
}

/** What the guard knows of one VTEP; for a trace. */
export interface GuardView {
  /** Packets from it pass; true also while there is no guard. */
  admits: boolean;
  /** Who was refused in the last minutes. */
  strangers: string[];
}

/**
 * Lets VXLAN packets into this host's overlays from members of the swarm alone: from the VTEPs that the managers name, and those
 * that the records of endpoints name, which only members can write. So whoever has joined is let in before it has an endpoint, and
 * again before anything here is sent to it. While no manager has said who is a member, what is in the kernel stays. Whoever can send with a
 * member's address is not kept out: VXLAN has no proof of its sender (RFC 7348 section 7).
 *
 * Each pass compares what should be with what is and carries out the difference; a failure is tried again with backoff, and packets
 * flow meanwhile: the guard keeps others out, and what it cannot do must not stop containers.
 */
export class MemberGuard {
  readonly #port: number;
  /** What other hosts are named by goes into commands. Of the family of this host's own. */
  readonly #isVtep: (text: string) => boolean;
  readonly #modules: MemberGuardModules;
  readonly #log: Log;
  /** As the managers name them; undefined until they have. */
  #told: ReadonlySet<string> | undefined;
  #recorded: ReadonlySet<string> = new Set();
  #need: GuardNeed = 'kept';
  /** Of no guard: undefined. */
  readonly #drift = new Drift((desired: DesiredGuard | undefined, observed: ObservedGuard) =>
    guardDifferences(planGuard(desired, observed), observed),
  );
  readonly #loop: RepairLoop;
  /** Since the start, and of these what the table has counted. */
  #refused = 0;
  #counted = 0;
  #toldAtMs = Number.NEGATIVE_INFINITY;

  /** @param options this host's own address, and the UDP port of the data path. */
  constructor(options: { vtep: string; port: number }, modules: MemberGuardModules) {
    this.#port = options.port;
    this.#isVtep = isIpv6(options.vtep) ? isIpv6 : isIpv4;
    this.#modules = modules;
    this.#log = modules.log.child({ module: 'worker/guard' });
    this.#loop = new RepairLoop({
      backoff: BACKOFF,
      clock: modules.clock,
      random: modules.random,
      pass: () => this.#pass(),
      failed: (error, retryMs) => {
        if (retryMs !== undefined) this.#log.warn({ error, retryMs }, 'guard of overlays is not as it should be');
      },
    });
  }

  /** The VTEPs of all nodes, this one included, as the managers tell; none means that they have not told. */
  learn(vteps: readonly string[]): void {
    if (vteps.length === 0) return;
    this.#told = new Set(vteps.filter(this.#isVtep));
    this.#loop.refresh();
  }

  /** Hosts that the records of endpoints here name; resolves when their packets pass, or when that has failed once. Never rejects. */
  async admit(vteps: Iterable<string>): Promise<void> {
    const members = this.#members();
    const strangers = [...vteps].filter((vtep) => this.#isVtep(vtep) && !members.has(vtep));
    if (strangers.length === 0) return;
    this.#recorded = new Set([...this.#recorded, ...strangers]);
    await this.#loop.run();
  }

  /** Resolves when these overlays are guarded, or when that has failed once; at once when they are. Never rejects. */
  async cover(need: GuardNeed): Promise<void> {
    this.#need = need;
    const { last } = this.#drift;
    if (last !== undefined && sameDesired(last.desired, this.#desired())) return;
    await this.#loop.run();
  }

  /** Compares with the kernel now. @param recorded all hosts that records of endpoints here name. Never rejects. */
  async audit(need: GuardNeed, recorded: Iterable<string>): Promise<void> {
    this.#need = need;
    this.#recorded = new Set([...recorded].filter(this.#isVtep));
    await this.#loop.run();
  }

  /** Takes the guard away, for a node that leaves its swarm. Failures are logged. */
  purge(): Promise<void> {
    return this.audit([], []);
  }

  /** The kernel's state stays. */
  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** Repairs of what somebody else had changed, by kind of difference, and packets refused. */
  get repairs(): Record<string, number> {
    return { ...this.#drift.counts, ...(this.#refused > 0 ? { 'packet refused': this.#refused } : {}) };
  }

  /** What the kernel has otherwise than it should; it is looked at, and nothing is changed. @throws what the kernel's tools say. */
  async differences(): Promise<Difference[]> {
    const desired = this.#desired();
    if (desired === 'kept') return [];
    const observed = await this.#modules.kernel.observe();
    return guardDifferences(planGuard(desired, observed), observed);
  }

  /** Whether a host's packets pass, by what is in the kernel now. @throws what the kernel's tools say. */
  async view(vtep: string): Promise<GuardView> {
    const { table, members, strangers } = await this.#modules.kernel.observe();
    return { admits: table === 'none' || members.has(vtep), strangers: [...strangers] };
  }

  #members(): ReadonlySet<string> {
    return new Set([...(this.#told ?? []), ...this.#recorded]);
  }

  /** Undefined: no guard. */
  #desired(): DesiredGuard | undefined | 'kept' {
    if (this.#need === 'kept') return 'kept';
    if (this.#need.length === 0) return undefined;
    if (this.#told === undefined) return 'kept';
    const members = this.#members();
    // One that cannot name all must not shut out any.
    if (members.size > MAX_MEMBERS) return undefined;
    return { port: this.#port, vnis: this.#need.toSorted((a, b) => a - b), members };
  }

  async #pass(): Promise<void> {
    const desired = this.#desired();
    const { last } = this.#drift;
    if (desired === 'kept' || (desired === undefined && last !== undefined && last.desired === undefined)) return;
    const observed = await this.#modules.kernel.observe();
    this.#tell(observed);
    const operations = planGuard(desired, observed);
    if (operations.length > 0) this.#note(operations, observed, desired);
    for (const operation of operations) await this.#modules.kernel.apply(operation);
    this.#drift.reached(desired);
  }

  #note(operations: readonly GuardOperation[], observed: ObservedGuard, desired: DesiredGuard | undefined): void {
    const fields = { operations: operations.map(({ kind }) => kind), members: desired?.members.size ?? 0 };
    if (this.#drift.note(observed)) {
      this.#log.warn({ ...fields, repairs: this.repairs }, 'guard of overlays has drifted and is repaired');
    } else
      this.#log.info(fields, desired === undefined ? 'guard of overlays is removed' : 'guard of overlays is changed');
  }

  #tell({ refused, strangers }: ObservedGuard): void {
    // A table that was made anew has begun to count again.
    const more = refused >= this.#counted ? refused - this.#counted : refused;
    this.#counted = refused;
    this.#refused += more;
    const nowMs = this.#modules.clock.monotonic();
    if (more === 0 || nowMs - this.#toldAtMs < TELL_MS) return;
    this.#toldAtMs = nowMs;
    this.#log.warn(
      { packets: this.#refused, from: strangers.slice(0, 5) },
      'VXLAN packets from outside of the swarm are refused',
    );
  }
}

function sameDesired(a: DesiredGuard | undefined, b: DesiredGuard | undefined | 'kept'): boolean {
  if (a === undefined || b === undefined || b === 'kept') return a === b;
  const words = ({ port, vnis, members }: DesiredGuard): string =>
    `${port} ${vnis.join()} ${[...members].toSorted().join()}`;
  return words(a) === words(b);
}
