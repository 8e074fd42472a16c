import { isIP } from 'node:net';
import { isTunnelAddress, isTunnelKey, tunnelPort, tunnelVxlanPort } from '../../../proto/objects/tunnel.ts';
import type { BackoffOptions } from '../../../proto/runtime/backoff.ts';
import type { Clock } from '../../../proto/runtime/clock.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { Random } from '../../../proto/runtime/random.ts';
import { RepairLoop } from '../../../proto/runtime/repair-loop.ts';
import type { Difference } from '../../../proto/objects/diagnosis/difference.ts';
import { Drift } from '../drift.ts';
import type { VxlanPath } from '../overlay/overlay-state.ts';
import { planTunnel, withoutEndpoints } from './plan-tunnel.ts';
import type { TunnelCapability, TunnelKernel } from './tunnel-kernel.ts';
import { loadTunnelKeys, makeNextTunnelKey, removeTunnelKeys, replaceTunnelKey, type TunnelKey } from './tunnel-key.ts';
import { tunnelDifferences } from './tunnel-differences.ts';
import type { DesiredTunnel, ObservedTunnel, TunnelOperation } from './tunnel-state.ts';

/** Outer IPv4 and UDP headers, and WireGuard's header and authentication tag (Donenfeld 2017, section 5.4.6); IPv6 is 20 more. */
const OVERHEAD_BYTES = 60;
const OVERHEAD_BYTES_IPV6 = 80;
/** A packet's length has 16 bits, and wireguard-go's buffers are no longer. */
const MAX_MTU = 65_000;
const BACKOFF: BackoffOptions = { minMs: 200, maxMs: 5_000, factor: 2, jitter: 0.3 };
/** How often a host without a tunnel looks whether it could have one: tasks may wait for one that cannot. */
const CAPABILITY_MS = { able: 30_000, unable: 5_000 };

/** A node of the swarm that can encrypt, as the managers tell of it. */
export interface TunnelMember {
  nodeId: string;
  publicKey: string;
  address: string;
  dataPathAddress: string;
}

/** `kept`: it is not known yet whether anything here needs the tunnel; it is left as it is. */
export type TunnelNeed = 'needed' | 'kept' | 'none';

export interface TunnelOptions {
  nodeId: string;
  /** For the private key; on tmpfs. */
  folder: string;
}

export interface TunnelModules {
  kernel: TunnelKernel;
  clock: Clock;
  random: Random;
  log: Log;
}

/**
 * The encrypted tunnel from this host to the others, up while an encrypted network has a container here. Each pass compares what
 * should be with what is and carries out the difference; a failure is tried again with backoff. `path` gives nothing until a pass
 * has found or made everything, so that no VXLAN device exists that could send in the clear.
 */
export class Tunnel {
  readonly #options: TunnelOptions;
  readonly #modules: TunnelModules;
  readonly #log: Log;
  readonly #listeners = new Set<() => void>();
  #key: TunnelKey = { file: '', publicKey: '' };
  /** Told to the managers; takes the place of the other when they have told the swarm. */
  #nextKey: TunnelKey | undefined;
  #capability: TunnelCapability = { able: false, reason: 'this host has not been asked yet whether it can encrypt' };
  #askedAtMs = 0;
  #swarm: { address: string; dataPathPort: number; members: readonly TunnelMember[] } | undefined;
  /** The key that other hosts know this one by. */
  #told: string | undefined;
  #need: TunnelNeed = 'kept';
  /** Told together with the need, before which nothing is made. */
  #underlayMtu = 0;
  /** The tunnel that the last pass left behind; undefined when it failed, or nothing needs one. */
  #open: DesiredTunnel | undefined;
  /** Nothing of the tunnel was left when it was last looked at. */
  #closed = false;
  /** The device sends to each peer from an address that this host has. Before this life it may have had others. */
  #sendsFromHere = false;
  /** Why the last pass failed. */
  #error = '';
  readonly #drift = new Drift((desired: DesiredTunnel | undefined, observed: ObservedTunnel) =>
    tunnelDifferences(planTunnel(desired, observed), observed),
  );
  readonly #loop: RepairLoop;

  constructor(options: TunnelOptions, modules: TunnelModules) {
    this.#options = options;
    this.#modules = modules;
    this.#log = modules.log.child({ module: 'worker/encryption' });
    this.#loop = new RepairLoop({
      backoff: BACKOFF,
      clock: modules.clock,
      random: modules.random,
      pass: async () => {
        await this.#pass();
        this.#error = '';
      },
      failed: (error, retryMs) => this.#failed(error, retryMs),
    });
  }

  /** Loads the host's key, or makes one, and asks what the host can. Touches nothing in the kernel. */
  async start(): Promise<void> {
    const { current, next } = await loadTunnelKeys(this.#options.folder, this.#options.nodeId);
    this.#key = current;
    this.#nextKey = next;
    this.#modules.kernel.onExit(() => this.refresh());
    await this.#askCapability();
  }

  /** The kernel's state stays: containers go on talking. */
  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** Takes the tunnel and the key away, for a node that leaves its swarm. Failures are logged. */
  async purge(): Promise<void> {
    await this.reconcile('none', this.#underlayMtu);
    await removeTunnelKeys(this.#options.folder);
  }

  /** Repairs of what somebody else had changed or ended, by kind of difference, since the start. */
  get repairs(): Record<string, number> {
    return this.#drift.counts;
  }

  /** What the kernel has otherwise than it should; it is looked at, and nothing is changed. @throws what the kernel's tools say. */
  async differences(): Promise<Difference[]> {
    if (this.#need === 'kept' || (this.#need === 'needed' && this.#swarm === undefined)) return [];
    const observed = await this.#modules.kernel.observe();
    return tunnelDifferences(planTunnel(this.#desired(), observed), observed);
  }

  /** For the managers; empty when this host cannot encrypt. */
  get publicKey(): string {
    return this.#capability.able ? (this.#nextKey ?? this.#key).publicKey : '';
  }

  /**
   * Makes another key, which is to be told to the managers (`publicKey`). WireGuard's session keys change every two minutes by
   * themselves and tell nothing of each other; this is for the one that hosts know each other by. The device has it from the
   * moment on that the managers tell of it, as the other hosts have; between the two, packets may be lost.
   */
  async rotateKey(): Promise<void> {
    this.#nextKey ??= await makeNextTunnelKey(this.#key);
  }

  /** @throws WaggleError failed-precondition saying what to install, when this host cannot encrypt. */
  assertAble(): void {
    if (!this.#capability.able) throw new WaggleError('failed-precondition', this.#capability.reason);
  }

  /** Called after the host has become able to encrypt, or ceased to be. */
  onCapability(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** This host's address within the tunnel, up or not; undefined until a manager has given it one. */
  get address(): string | undefined {
    return this.#swarm?.address;
  }

  /** What the managers tell of the tunnel. Members with anything malformed are left out. @returns whether the address is new. */
  learn(swarm: { address: string | undefined; dataPathPort: number; members: readonly TunnelMember[] }): boolean {
    const { address, dataPathPort } = swarm;
    if (address === undefined || !isTunnelAddress(address)) return false;
    const isNew = this.#swarm?.address !== address;
    this.#swarm = { address, dataPathPort, members: swarm.members.filter(isUsable) };
    this.#told = swarm.members.find(({ nodeId }) => nodeId === this.#options.nodeId)?.publicKey;
    if (this.#need === 'needed' || this.#nextKey !== undefined) this.refresh();
    return isNew;
  }

  /** Resolves when the tunnel is up. @throws WaggleError failed-precondition when the host cannot encrypt, unavailable otherwise. */
  async open(underlayMtu: number): Promise<void> {
    await this.reconcile('needed', underlayMtu);
    this.path();
  }

  /** @throws WaggleError as `open`, while the tunnel is not known to be up. */
  path(): VxlanPath {
    if (this.#open !== undefined) {
      return { vtep: this.#open.address, vxlanPort: this.#open.vxlanPort, mtu: this.#open.mtu };
    }
    this.assertAble();
    throw new WaggleError('unavailable', this.#error || 'the encrypted tunnel to other hosts is not up yet');
  }

  /** Compares with the kernel now, and again later if that fails. Never rejects. */
  reconcile(need: TunnelNeed, underlayMtu: number): Promise<void> {
    this.#need = need;
    this.#underlayMtu = underlayMtu;
    return this.#loop.run();
  }

  /** Something that the tunnel depends on has changed. */
  refresh(): void {
    this.#loop.refresh();
  }

  async #pass(): Promise<void> {
    const elapsedMs = this.#modules.clock.monotonic() - this.#askedAtMs;
    const everyMs = this.#capability.able ? CAPABILITY_MS.able : CAPABILITY_MS.unable;
    if (this.#open === undefined && elapsedMs >= everyMs) await this.#askCapability();
    if (this.#nextKey !== undefined && this.#nextKey.publicKey === this.#told) {
      this.#key = await replaceTunnelKey(this.#key, this.#nextKey);
      this.#nextKey = undefined;
      this.#log.info({}, 'key of the encrypted tunnel is replaced');
    }
    if (this.#need === 'kept' || (this.#need === 'none' && this.#closed)) return;
    this.#closed = false;
    if (this.#need === 'needed') this.assertAble();
    const desired = this.#desired();
    const observed = await this.#modules.kernel.observe();
    const operations = planTunnel(desired, this.#sendsFromHere ? observed : withoutEndpoints(observed));
    if (operations.length > 0) this.#note(operations, observed, desired);
    if (!operations.every(keepsOpen)) this.#open = undefined;
    const failure = await this.#modules.kernel.apply(operations);
    if (failure !== undefined) throw new WaggleError('unavailable', `${failure.operation.kind}: ${failure.message}`);
    this.#open = desired;
    this.#sendsFromHere ||= desired !== undefined;
    this.#drift.reached(desired);
    this.#closed = desired === undefined;
  }

  #note(operations: readonly TunnelOperation[], observed: ObservedTunnel, desired: DesiredTunnel | undefined): void {
    const fields = { operations: operations.length, first: operations[0]?.kind, peers: desired?.peers.length ?? 0 };
    if (this.#drift.note(observed)) {
      this.#log.warn({ ...fields, repairs: this.repairs }, 'encrypted tunnel has drifted and is repaired');
    } else this.#log.info(fields, desired === undefined ? 'encrypted tunnel is closed' : 'encrypted tunnel is changed');
  }

  /** Programs are installed and removed while we run. */
  async #askCapability(): Promise<void> {
    const before = this.#capability;
    this.#askedAtMs = this.#modules.clock.monotonic();
    this.#capability = await this.#modules.kernel.capability();
    if (before.able === this.#capability.able) return;
    this.#log.info({ ...this.#capability }, 'whether this host can encrypt is known');
    for (const listener of this.#listeners) listener();
  }

  #desired(): DesiredTunnel | undefined {
    if (this.#need !== 'needed') return undefined;
    const swarm = this.#swarm;
    if (swarm === undefined)
      throw new WaggleError('unavailable', 'no manager has given this node its tunnel address yet');
    const port = tunnelPort(swarm.dataPathPort);
    const others = swarm.members.filter(({ nodeId }) => nodeId !== this.#options.nodeId);
    const peers = others.map(({ publicKey, address, dataPathAddress }) => ({
      publicKey,
      address,
      endpoint: isIP(dataPathAddress) === 6 ? `[${dataPathAddress}]:${port}` : `${dataPathAddress}:${port}`,
    }));
    const overhead = others.some(({ dataPathAddress }) => isIP(dataPathAddress) === 6)
      ? OVERHEAD_BYTES_IPV6
      : OVERHEAD_BYTES;
    return {
      keyFile: this.#key.file,
      publicKey: this.#key.publicKey,
      port,
      vxlanPort: tunnelVxlanPort(swarm.dataPathPort),
      address: swarm.address,
      mtu: Math.min(MAX_MTU, this.#underlayMtu - overhead),
      peers,
    };
  }

  #failed(error: string, retryMs: number | undefined): void {
    this.#open = undefined;
    this.#error = error;
    if (retryMs !== undefined) this.#log.warn({ error, retryMs }, 'encrypted tunnel is not as it should be');
  }
}

/** The tunnel stays open while other hosts come and go, and keys with them. */
function keepsOpen({ kind }: TunnelOperation): boolean {
  return ['put-peer', 'put-endpoint', 'remove-peer', 'set-key', 'greet'].includes(kind);
}

/** What other hosts are named by goes into commands. */
function isUsable(member: TunnelMember): boolean {
  return isTunnelKey(member.publicKey) && isTunnelAddress(member.address) && isIP(member.dataPathAddress) !== 0;
}
