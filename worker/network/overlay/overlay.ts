import { backoffDelayMs } from '../../../proto/runtime/backoff.ts';
import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { Random } from '../../../proto/runtime/random.ts';
import type { RepairCounts } from '../repair-counts.ts';
import { advance } from './advance.ts';
import { repairKinds } from './differences.ts';
import { KernelMemory, type Look } from './kernel-memory.ts';
import { BRIDGE, lowerName, namespaceName } from './link-names.ts';
import { LostLinks } from './lost-links.ts';
import { MovedAddresses } from './moved-addresses.ts';
import type { LowerLink, OperationFailure, OverlayKernel, SandboxLink } from './overlay-kernel.ts';
import type { DesiredOverlay, LocalPort, ObservedOverlay, Operation } from './overlay-state.ts';
import { plan, planLinks, planRows } from './plan.ts';
import { sameDesired } from './same-desired.ts';
import { boundPorts } from './shortcut-plan.ts';

const BACKOFF = { minMs: 100, maxMs: 10_000, factor: 2, jitter: 0.3 };
/**
 * Rows between two looks at what is waiting: few at first, so that containers that join meanwhile are served soon, then twice as
 * many each time. A thousand are about 30 ms of work on a machine that has nothing else to do.
 */
const FIRST_CHUNK_OPERATIONS = 8;
const MAX_CHUNK_OPERATIONS = 1000;
const MAX_WAITING = 1000;
/** Told by one process. */
const MAX_ANNOUNCEMENTS = 500;
/** A look during which the kernel was changed may have missed rows, so a difference is looked at again; so often at most. */
const MAX_LOOKS = 3;

/** Something that must be done in the kernel before its caller goes on. */
interface Wait {
  /** A veth to make; absent when only the links are to be brought up to date. */
  veth?: { port: string; waiting: string };
  resolve(): void;
  reject(error: Error): void;
}

export interface OverlayModules {
  kernel: OverlayKernel;
  /** What the overlay should be right now; asked at every pass. */
  desired: () => DesiredOverlay | undefined;
  /** Finds out what `desired` needs to know of the host for the rows. Never rejects. */
  prepare?: () => Promise<void>;
  /** How a container's link is to be made again; undefined for one that has no namespace. Default: none can be. */
  sandboxLink?: (port: string) => SandboxLink | undefined;
  /** A container was given its link, for the first time or again. */
  onLink?: () => void;
  repairs: RepairCounts;
  clock: Clock;
  random: Random;
  log: Log;
}

/** An overlay as it should be and as it is, looked at in one moment. */
export interface Examination {
  desired: DesiredOverlay | undefined;
  observed: ObservedOverlay;
  /** False when the overlay was being changed meanwhile: a difference may be of the moment. */
  settled: boolean;
}

/**
 * The data path of one network on this host. A single worker at a time compares what should be with what is and
 * carries out the difference. What is, is remembered between passes (KernelMemory), and looked at anew after any failure and at
 * each audit, which is how drift is found. An audit looks beside the worker, so no change waits for it, and where neither the
 * kernel nor what is desired has changed since the last one nothing is compared. Failures leave it dirty; it is tried again with backoff.
 */
export class Overlay {
  readonly networkId: string;
  readonly namespace: string;
  readonly #modules: OverlayModules;
  readonly #log: Log;
  readonly #memory = new KernelMemory();
  /** An audit's look, which the next pass takes up. */
  #look: Look | 'failed' | undefined;
  #looking: Promise<void> | undefined;
  #looks = 0;
  /** What was remembered when something failed: what differs from it and was not left to do is drift, too. */
  #beforeFailure: ObservedOverlay | undefined;
  /** What the remembered state was found to be in step with. */
  #settledFor: DesiredOverlay | undefined;
  #passes = 0;
  #dirty = false;
  #stopped = false;
  #failures = 0;
  #running: Promise<void> | undefined;
  #cancelRetry: CancelTimer | undefined;
  #waits: Wait[] = [];
  /** Has been desired as a routed network; then the host may have things of it too. */
  #routed = false;
  readonly #moved = new MovedAddresses();
  #announcing: Promise<void> | undefined;
  readonly #lost = new LostLinks();
  /** Of the lost, whom the last try could not help: the next audit tries again. */
  readonly #helpless = new Set<string>();

  constructor(networkId: string, modules: OverlayModules) {
    this.networkId = networkId;
    this.namespace = namespaceName(networkId);
    this.#modules = modules;
    this.#log = modules.log.child({ module: 'worker/overlay' });
  }

  /** Ports of running containers that are no longer in the kernel and could not be made again: only a restart of the container helps. */
  get missingPorts(): readonly string[] {
    return this.#lost.ports;
  }

  /** True while something in the kernel is not as it should be. */
  get dirty(): boolean {
    return this.#dirty;
  }

  /** True when nothing is being done and nothing is left to do. */
  get idle(): boolean {
    return !this.#dirty && this.#running === undefined;
  }

  /** Something that `desired` depends on has changed. */
  refresh(): void {
    this.#dirty = true;
    if (this.#cancelRetry === undefined) this.#run();
  }

  /** Looks at the kernel now, and compares with what it has found in a pass. */
  audit(): void {
    this.#announce();
    if (this.#looking !== undefined || this.#look !== undefined || this.#stopped) return;
    this.#looks = 0;
    this.#lookAgain();
  }

  /** Looks at the kernel and changes nothing. @throws what the kernel's tools say; not-found for an unknown network. */
  async examine(): Promise<Examination> {
    const passes = this.#passes;
    const wasIdle = this.idle;
    const observed = await this.#modules.kernel.observe(this.namespace, this.#isRouted());
    const settled = wasIdle && this.idle && passes === this.#passes;
    return { desired: this.#modules.desired(), observed, settled };
  }

  /**
   * Makes the veth of a container that joins, and connects it. The overlay's links are there when it resolves; rows
   * for peers follow at once. @throws WaggleError internal in the kernel's words; unavailable when stopped or overrun.
   */
  connect(port: string, waiting: string): Promise<void> {
    return this.#wait({ port, waiting });
  }

  /** Resolves when the links are as they should be; for removals, which must be done before the engine goes on. */
  settleLinks(): Promise<void> {
    return this.#wait(undefined);
  }

  /** Stops working; the kernel's state stays as it is. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRetry?.();
    this.#rejectWaits(new WaggleError('unavailable', 'the network is being shut down'));
    await Promise.all([this.#running, this.#looking]);
    await this.#announcing;
  }

  #lookAgain(): void {
    this.#looks++;
    const { kernel } = this.#modules;
    const looking = this.#memory.look((known) => kernel.look(this.namespace, this.#isRouted(), known));
    this.#looking = looking.then(
      (look) => {
        this.#looking = undefined;
        this.#look = look;
        this.refresh();
      },
      (error: unknown) => {
        this.#looking = undefined;
        this.#log.debug({ network: this.networkId, error: messageOf(error) }, 'the kernel could not be looked at');
        this.#look = 'failed';
        this.refresh();
      },
    );
  }

  #wait(veth: Wait['veth']): Promise<void> {
    if (this.#stopped || this.#waits.length >= MAX_WAITING) {
      return Promise.reject(new WaggleError('unavailable', 'the network cannot take more work now'));
    }
    return new Promise((resolve, reject) => {
      this.#waits.push({ ...(veth === undefined ? {} : { veth }), resolve, reject });
      this.#dirty = true;
      this.#cancelRetry?.();
      this.#cancelRetry = undefined;
      this.#run();
    });
  }

  #run(): void {
    if (this.#running !== undefined || this.#stopped) return;
    this.#running = this.#loop().finally(() => {
      this.#running = undefined;
      if (this.#dirty && this.#cancelRetry === undefined) this.#run();
    });
  }

  async #loop(): Promise<void> {
    while (this.#dirty && !this.#stopped) {
      this.#dirty = false;
      const failures = await this.#pass().catch((error: unknown) => {
        this.#rejectWaits(new WaggleError('internal', messageOf(error), { cause: error }));
        return [messageOf(error)];
      });
      if (failures.length > 0) return this.#retryLater(failures);
      this.#failures = 0;
    }
  }

  #retryLater(failures: readonly string[]): void {
    this.#dirty = true;
    this.#forget();
    if (this.#stopped) return;
    this.#failures++;
    const delayMs = backoffDelayMs(BACKOFF, this.#failures, this.#modules.random());
    const fields = {
      network: this.networkId,
      failed: failures.length,
      first: failures[0],
      retryMs: Math.round(delayMs),
    };
    this.#log.warn(fields, 'overlay is not in step with the kernel');
    this.#cancelRetry = this.#modules.clock.after(delayMs, () => {
      this.#cancelRetry = undefined;
      this.#run();
    });
  }

  /** @returns what failed, in words. */
  async #pass(): Promise<string[]> {
    const auditing = this.#takeLook();
    const observed = this.#memory.state ?? (await this.#observe());
    this.#moved.recall(observed.neighbours);
    this.#passes++;
    if (auditing) this.#noteLost(observed);
    const isWhole = this.#waits.length === 0 && this.#lost.ports.length === 0;
    if (auditing && isWhole && this.#isSettled(observed)) return [];
    this.#settledFor = undefined;
    const failures = await this.#linksPass(observed);
    if (failures.length > 0) return failures;
    await this.#restore();
    await this.#modules.prepare?.();
    const desired = this.#modules.desired();
    const rows = planRows(desired, observed);
    let chunk = FIRST_CHUNK_OPERATIONS;
    for (let start = 0; start < rows.length && !this.#stopped; ) {
      const end = start + chunk;
      failures.push(...wordsOf(await this.#apply(rows.slice(start, end))));
      start = end;
      chunk = this.#waits.length > 0 ? FIRST_CHUNK_OPERATIONS : Math.min(2 * chunk, MAX_CHUNK_OPERATIONS);
      if (this.#waits.length > 0) failures.push(...(await this.#linksPass(observed)));
    }
    if (failures.length === 0) this.#noteMoved(desired?.local ?? [], rows);
    return failures;
  }

  #forget(): void {
    this.#beforeFailure = this.#memory.state ?? this.#beforeFailure;
    this.#memory.forget();
  }

  async #observe(): Promise<ObservedOverlay> {
    const observed = await this.#modules.kernel.observe(this.namespace, this.#isRouted());
    const drift = this.#beforeFailure === undefined ? [] : this.#driftOf(observed, this.#beforeFailure);
    this.#beforeFailure = undefined;
    if (drift.length > 0) this.#countDrift(drift, observed);
    return this.#memory.learn(observed);
  }

  /** Containers may have another MAC for an address in their own tables; they hear of it as soon as the way there is right. */
  #noteMoved(local: readonly LocalPort[], rows: readonly Operation[]): void {
    for (const { address, address6, mac } of local) {
      this.#moved.note(address, mac);
      if (address6 !== undefined) this.#moved.note(address6, mac);
    }
    for (const row of rows) if (row.kind === 'put-neighbour') this.#moved.note(row.address, row.mac);
    this.#announce();
  }

  /** Not waited for by whoever joins. What could not be told is tried again by the next audit. */
  #announce(): void {
    const announcements = this.#moved.untold().slice(0, MAX_ANNOUNCEMENTS);
    if (announcements.length === 0 || this.#announcing !== undefined || this.#stopped) return;
    this.#announcing = this.#modules.kernel
      .announce(this.namespace, announcements)
      .then(
        () => {
          this.#moved.told(announcements);
          return true;
        },
        (error: unknown) => {
          this.#log.debug({ network: this.networkId, error: messageOf(error) }, 'containers are told of a MAC later');
          return false;
        },
      )
      .then((again) => {
        this.#announcing = undefined;
        if (again) this.#announce();
      });
  }

  /** Whether nothing is left to do; asked after the kernel was looked at. */
  #isSettled(observed: ObservedOverlay): boolean {
    const desired = this.#modules.desired();
    const isKnown = this.#memory.verified && this.#settledFor !== undefined;
    if (isKnown && sameDesired(this.#settledFor, desired)) return true;
    this.#settledFor = plan(desired, observed).length === 0 ? desired : undefined;
    return this.#settledFor !== undefined;
  }

  #isRouted(): boolean {
    this.#routed ||= this.#modules.desired()?.dataPath === 'routed';
    return this.#routed;
  }

  /** Brings the links up to date and serves those who wait for them. */
  async #linksPass(observed: ObservedOverlay): Promise<string[]> {
    const waits = this.#waits;
    this.#waits = [];
    try {
      const failed = await this.#changeLinks(observed, waits);
      const shared = failed.find(({ operation }) => waits.every((wait) => wait.veth?.port !== portOf(operation)));
      for (const wait of waits) settleWait(wait, failed.find((each) => isAbout(each, wait)) ?? shared);
      return wordsOf(failed);
    } catch (error) {
      for (const wait of waits) wait.reject(new WaggleError('internal', messageOf(error), { cause: error }));
      throw error;
    }
  }

  async #changeLinks(observed: ObservedOverlay, waits: readonly Wait[]): Promise<OperationFailure[]> {
    const desired = this.#modules.desired();
    const links = planLinks(desired, observed);
    const failed = await this.#apply(links);
    const veths = waits.flatMap((wait) => wait.veth ?? []);
    if (veths.length > 0 && failed.length === 0) {
      if (desired === undefined) throw new WaggleError('not-found', 'the network is not known on this node');
      for (const veth of veths) failed.push(...(await this.#makeVeth(veth, desired)));
      failed.push(...(await this.#apply(planLinks(this.#modules.desired(), observed))));
    }
    return failed;
  }

  async #makeVeth({ port, waiting }: NonNullable<Wait['veth']>, desired: DesiredOverlay): Promise<OperationFailure[]> {
    try {
      const lower = lowerOf(desired, port);
      await this.#modules.kernel.createVeth(this.namespace, port, waiting, desired.mtu, lower);
      this.#notePort(port, desired.mtu, lower);
      return [];
    } catch (error) {
      return [{ operation: { kind: 'set-up', link: port }, message: messageOf(error) }];
    }
  }

  /**
   * Gives those who have lost their link another one; who joins meanwhile goes before. Whom it cannot help is named until it can, and is in
   * nobody else's way: neither joins nor rows wait for it.
   */
  async #restore(): Promise<void> {
    const { desired, kernel, repairs, sandboxLink } = this.#modules;
    for (const port of this.#lost.ports.filter((each) => !this.#helpless.has(each))) {
      const wanted = desired();
      const sandbox = wanted?.local.some(({ link }) => link === port) ? sandboxLink?.(port) : undefined;
      if (wanted === undefined || sandbox === undefined) continue;
      this.#helpless.add(port);
      try {
        const lower = lowerOf(wanted, port);
        const link = await kernel.restoreVeth(this.namespace, port, sandbox, wanted.mtu, lower);
        if (link === undefined) continue;
        this.#notePort(port, wanted.mtu, lower);
        repairs.add(['port missing']);
        this.#log.info({ network: this.networkId, port, link }, 'a container has its link again');
      } catch (error) {
        const fields = { network: this.networkId, port, error: messageOf(error) };
        this.#log.warn(fields, 'a container could not be given its link again and will be');
      }
      if (this.#waits.length > 0) return;
    }
  }

  #notePort(port: string, mtu: number, lower: LowerLink | undefined): void {
    this.#memory.change(({ ports, route }) => {
      ports.set(port, { mtu, up: true, mac: '', master: BRIDGE });
      if (lower !== undefined) route.lowers.set(lower.name, { mtu, up: true, mac: lower.mac });
    });
    this.#lost.saw(port);
    this.#modules.onLink?.();
  }

  #noteLost(observed: ObservedOverlay): void {
    this.#helpless.clear();
    const fresh = this.#lost.note(this.#modules.desired()?.local ?? [], boundPorts(observed));
    if (fresh.length === 0) return;
    this.#log.warn({ network: this.networkId, ports: fresh }, 'containers have lost their link');
  }

  async #apply(operations: readonly Operation[]): Promise<OperationFailure[]> {
    if (operations.length === 0) return [];
    const failures = await this.#modules.kernel.apply(this.namespace, operations);
    const failed = new Set(failures.map((failure) => failure.operation));
    const done = operations.filter((operation) => !failed.has(operation));
    this.#memory.change((observed) => {
      for (const operation of done) advance(observed, operation);
    });
    this.#log.debug({ network: this.networkId, operations: operations.length, failed: failed.size }, 'overlay changed');
    return failures;
  }

  /** @returns true when the memory is now what the kernel was seen to have. */
  #takeLook(): boolean {
    const look = this.#look;
    this.#look = undefined;
    if (look === 'failed') this.#forget();
    if (look === undefined || look === 'failed') return false;
    const observed = KernelMemory.replay(look);
    const remembered = this.#memory.state ?? this.#beforeFailure;
    if (observed !== undefined && remembered !== undefined) {
      const drift = this.#driftOf(observed, remembered);
      if (drift.length > 0 && look.changes.length > 0 && this.#looks < MAX_LOOKS) {
        this.#lookAgain();
        return false;
      }
      if (drift.length > 0) this.#countDrift(drift, observed);
    }
    if (observed !== undefined) {
      this.#settledFor = undefined;
      this.#beforeFailure = undefined;
    }
    this.#memory.adopt(look);
    return observed !== undefined || this.#memory.verified;
  }

  /** What has changed in the kernel without our doing. What was left to do, or has been asked for since, is no drift. */
  #driftOf(observed: ObservedOverlay, remembered: ObservedOverlay): Operation[] {
    const desired = this.#modules.desired();
    const operations = plan(desired, observed);
    if (operations.length === 0) return [];
    const due = new Set(plan(desired, remembered).map((operation) => JSON.stringify(operation)));
    return operations.filter((operation) => !due.has(JSON.stringify(operation)));
  }

  #countDrift(drift: readonly Operation[], observed: ObservedOverlay): void {
    const repairs = this.#modules.repairs.add(repairKinds(drift, observed));
    this.#log.info({ network: this.networkId, repairs, first: drift[0] }, 'kernel state had drifted');
  }

  #rejectWaits(error: Error): void {
    const waits = this.#waits;
    this.#waits = [];
    for (const wait of waits) wait.reject(error);
  }
}

/** Undefined for a container whose link is to be the port's other end itself. */
function lowerOf({ local, hasShortcuts }: DesiredOverlay, port: string): LowerLink | undefined {
  const found = hasShortcuts === true ? local.find(({ link }) => link === port) : undefined;
  return found && { name: lowerName(found.endpointId), mac: found.mac };
}

function portOf(operation: Operation): string | undefined {
  return 'link' in operation ? operation.link : undefined;
}

function isAbout(failure: OperationFailure, wait: Wait): boolean {
  return wait.veth !== undefined && portOf(failure.operation) === wait.veth.port;
}

function settleWait(wait: Wait, failure: OperationFailure | undefined): void {
  if (failure === undefined) wait.resolve();
  else wait.reject(new WaggleError('internal', `${failure.operation.kind}: ${failure.message}`));
}

function wordsOf(failures: readonly OperationFailure[]): string[] {
  return failures.map(({ operation, message }) => `${operation.kind}: ${message}`);
}
