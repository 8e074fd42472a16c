import path from 'node:path';
import type { NodeObject } from '../../proto/objects/node.ts';
import { systemClock } from '../../proto/runtime/clock.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { createLab, type Lab } from '../lab/lab.ts';
import { run } from '../lab/run.ts';
import { api, apiJson } from '../lab/swarm.ts';
import { dropPackets, passPackets } from './packet-drops.ts';

const DATA_DIR = '/var/lib/waggle';
/** Room for the log and some snapshots, little enough to be filled at once. */
const DISK = '256M';
const SNAPSHOT_INTERVAL = 50;
const ENTRIES_KEPT = 20;
const SLOW = { timeoutMs: 120_000 };
const PORT = 2377;

/** Managers on hosts of their own, each with a file system of its own for the daemon's data, and what can be done to them. */
export class ManagerGroup {
  readonly lab: Lab;
  readonly #autolock: boolean;
  #token = '';
  /** By which a manager that was started anew is unlocked; '' when none needs it. */
  #unlockKey = '';

  constructor(lab: Lab, { autolock }: { autolock: boolean }) {
    this.lab = lab;
    this.#autolock = autolock;
  }

  get unlockKey(): string {
    return this.#unlockKey;
  }

  get hosts(): readonly Host[] {
    return this.lab.hosts;
  }

  others(than: Host): Host[] {
    return this.hosts.filter((host) => host !== than);
  }

  /** The daemon's data, as a path outside. */
  dataDir(host: Host): string {
    return `/proc/${host.options.holderPid}/root${DATA_DIR}`;
  }

  async begin(): Promise<void> {
    const [first, ...others] = this.hosts;
    if (first === undefined) throw new Error('the lab has no host');
    await first.waggle(['swarm', 'init', '--advertise-addr', first.address]);
    if (this.#autolock) {
      await first.waggle(['swarm', 'update', '--autolock=true']);
      this.#unlockKey = (await first.waggle(['swarm', 'unlock-key', '-q'])).stdout.trim();
    }
    this.#token = (await first.waggle(['swarm', 'join-token', '-q', 'manager'])).stdout.trim();
    for (const host of others) await this.join(host);
    const { Version, Spec } = await apiJson<{ Version: { Index: number }; Spec: { Raft: object } }>(
      first,
      'GET',
      '/swarm',
    );
    const Raft = { ...Spec.Raft, SnapshotInterval: SNAPSHOT_INTERVAL, LogEntriesForSlowFollowers: ENTRIES_KEPT };
    await apiJson(first, 'POST', `/swarm/update?version=${Version.Index}`, { ...Spec, Raft });
    await this.untilSettled();
  }

  /** By way of any manager that takes it. */
  join(host: Host): Promise<unknown> {
    const managers = this.others(host).map(({ address }) => `${address}:${PORT}`);
    let attempt = 0;
    return eventually(
      `${host.name} to join`,
      () => {
        const manager = managers[attempt++ % managers.length] ?? '';
        return host.waggle(['swarm', 'join', '--token', this.#token, manager], { timeoutMs: 60_000 });
      },
      SLOW,
    );
  }

  async managers(asked: Host): Promise<NodeObject[]> {
    const nodes = await apiJson<NodeObject[]>(asked, 'GET', '/nodes');
    return nodes.filter((node) => node.ManagerStatus !== undefined && node.ManagerStatus !== null);
  }

  /** Whom the others see leading. */
  async leader(): Promise<Host> {
    return eventually('a leader', async () => {
      const managers = await Promise.any(this.hosts.map((host) => this.managers(host)));
      const leading = managers.find(({ ManagerStatus }) => ManagerStatus?.Leader === true);
      return this.hosts.find(({ name }) => name === leading?.Description?.Hostname) ?? false;
    });
  }

  untilManagers(asked: Host, count: number): Promise<boolean> {
    return eventually(`${count} managers`, async () => (await this.managers(asked)).length === count, SLOW);
  }

  /** And gives it the key, if it needs one. */
  async startDaemon(host: Host): Promise<void> {
    await host.startDaemon();
    await this.#unlock(host);
  }

  /** Undoes everything that a fault may have left behind. */
  async heal(): Promise<void> {
    await Promise.all(
      this.hosts.map(async (host) => {
        host.thaw();
        await host.mend();
        await this.hearAll(host);
        await this.freeDisk(host);
        if (!host.isRunning('daemon')) await this.startDaemon(host);
        else await this.#unlock(host);
      }),
    );
  }

  /** Every manager shows all of them, one leading, and takes a write. @returns how long it took until each took a write, ms. */
  async untilSettled(): Promise<number> {
    const began = systemClock.monotonic();
    await Promise.all(this.hosts.map((host) => untilItWrites(host)));
    const tookMs = systemClock.monotonic() - began;
    for (const host of this.hosts) await this.#untilWhole(host);
    return tookMs;
  }

  #untilWhole(asked: Host): Promise<true> {
    return eventually(
      `${asked.name} to show reachable managers, one of them leading`,
      async () => {
        const shown = (await this.managers(asked)).map(({ ManagerStatus }) => ManagerStatus);
        const leaders = shown.filter((status) => status?.Leader === true).length;
        const reachable = shown.filter((status) => status?.Reachability === 'reachable').length;
        const { length } = this.hosts;
        if (leaders === 1 && shown.length === length && reachable === length) return true;
        throw new Error(JSON.stringify(shown));
      },
      SLOW,
    );
  }

  async #unlock(host: Host): Promise<void> {
    if (this.#unlockKey === '') return;
    const { Swarm } = await apiJson<{ Swarm: { LocalNodeState: string } }>(host, 'GET', '/info');
    if (Swarm.LocalNodeState === 'locked') await apiJson(host, 'POST', '/swarm/unlock', { UnlockKey: this.#unlockKey });
  }

  /** Drops what comes in from, or goes out to, these hosts; the other direction stays open. */
  drop(host: Host, direction: 'in' | 'out', peers: readonly Host[]): Promise<void> {
    return dropPackets(host, direction, peers);
  }

  hearAll(host: Host): Promise<void> {
    return passPackets(host);
  }

  /** Leaves no block free where the daemon keeps its data. */
  async fillDisk(host: Host): Promise<void> {
    const fill = `for size in 1M 4k; do dd if=/dev/zero of=${DATA_DIR}/filler bs=$size oflag=append conv=notrunc; done`;
    await host.exec(['sh', '-c', `${fill}; sync`], { check: false });
  }

  async freeDisk(host: Host): Promise<void> {
    await host.exec(['rm', '-f', `${DATA_DIR}/filler`]);
  }
}

export interface ManagerGroupOptions {
  managers: number;
  /** Their keys are locked on disk. */
  autolock: boolean;
  say?: (line: string) => void;
}

/** Hosts with daemons that are in no swarm yet. */
export async function createManagerGroup(
  { managers, autolock, say }: ManagerGroupOptions = { managers: 3, autolock: false },
): Promise<ManagerGroup> {
  const lab = await createLab({ hosts: managers, daemons: false, ...(say === undefined ? {} : { say }) });
  try {
    for (const host of lab.hosts) {
      const disk = path.join(host.options.folder, 'disk.img');
      await run('truncate', ['-s', DISK, disk]);
      await run('mkfs.ext4', ['-q', '-m', '0', disk]);
      await host.exec(['mount', '-o', 'loop', disk, DATA_DIR]);
    }
    await Promise.all(lab.hosts.map((host) => host.startDaemon()));
    return new ManagerGroup(lab, { autolock });
  } catch (error) {
    await lab.destroy();
    throw error;
  }
}

async function untilItWrites(host: Host): Promise<void> {
  let attempt = 0;
  await eventually(
    `${host.name} to take a write`,
    async () => {
      const Name = `settled-${host.name}-${systemClock.now()}-${attempt++}`;
      const answer = await api(host, 'POST', '/configs/create', { Name, Data: 'eA==' });
      if (answer.status !== 201) throw new Error(answer.text);
    },
    SLOW,
  );
}
