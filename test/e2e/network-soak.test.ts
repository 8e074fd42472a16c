import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilClean } from '../fixtures/network-diagnosis.ts';
import { createSwarm, leftovers, PATIENCE, removeAllContainers, startCommand } from '../fixtures/network-swarm.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import type { Lab } from '../lab/lab.ts';
import { SeededRandom } from '../sim/raft/seeded-random.ts';

/** `WAGGLE_SOAK_CYCLES=1000 WAGGLE_SOAK_SEED=7` soaks for longer, or otherwise. */
const CYCLES = Number(process.env['WAGGLE_SOAK_CYCLES'] ?? '15');
const SEED = Number(process.env['WAGGLE_SOAK_SEED'] ?? '1');
const CHECK_EVERY = 20;
/** A fault comes about this often; each costs some seconds. */
const FAULT = 0.06;
const FREEZE_MS = 1_500;
const MAX_CONTAINERS = 8;
const MAX_NETWORKS = 4;
const MAX_SERVICES = 2;
const TIMEOUT_MS = 120_000 + CYCLES * 10_000;

let lab: Lab;

beforeAll(async () => {
  lab = await createSwarm(3);
});

afterAll(async () => {
  await lab?.destroy();
});

/** One thing after another, by chance. What a fault makes fail is not held against anybody: the state afterwards is what counts. */
class Soak {
  readonly random = new SeededRandom(SEED);
  readonly counts: Record<string, number> = {};
  readonly #containers: { host: Host; name: string }[] = [];
  readonly #networks: string[] = [];
  readonly #services: string[] = [];
  #serial = 0;

  async cycle(): Promise<void> {
    if (this.random.chance(FAULT)) return this.#fault();
    const choices: [string, number, () => Promise<unknown>][] = [
      ['create network', this.#networks.length < MAX_NETWORKS ? 2 : 0, () => this.#createNetwork()],
      ['remove network', this.#networks.length > 2 ? 1 : 0, () => this.#removeNetwork()],
      ['run', this.#networks.length > 0 && this.#containers.length < MAX_CONTAINERS ? 6 : 0, () => this.#run()],
      ['remove', this.#containers.length > 2 ? 4 : 0, () => this.#remove()],
      ['connect', this.#containers.length > 0 && this.#networks.length > 1 ? 3 : 0, () => this.#connect()],
      ['service', this.#networks.length > 0 && this.#services.length < MAX_SERVICES ? 2 : 0, () => this.#service()],
      ['remove service', this.#services.length > 1 ? 1 : 0, () => this.#removeService()],
    ];
    const bag = choices.flatMap(([name, weight, act]) => Array.from({ length: weight }, () => ({ name, act })));
    const choice = this.random.pick(bag);
    this.#count(choice?.name ?? 'nothing');
    await choice?.act();
  }

  /** Takes everything away. */
  async end(): Promise<void> {
    const [manager] = lab.hosts;
    for (const name of this.#services) await manager?.waggle(['service', 'rm', name], { check: false });
    await Promise.all(lab.hosts.map(removeAllContainers));
    for (const name of this.#networks) {
      await eventually(
        `${name} to be removed`,
        async () => {
          await Promise.all(lab.hosts.map(removeAllContainers));
          const removed = await manager?.waggle(['network', 'rm', name], { check: false });
          if (removed?.exitCode !== 0 && !/not found/.test(removed?.stderr ?? '')) throw new Error(removed?.stderr);
        },
        PATIENCE,
      );
    }
  }

  async #createNetwork(): Promise<void> {
    const name = this.#name('net');
    const command = ['network', 'create', '-d', 'overlay', '--attachable', name];
    const { exitCode } = await lab.host(0).waggle(command, { check: false });
    if (exitCode === 0) this.#networks.push(name);
  }

  async #removeNetwork(): Promise<void> {
    const name = this.random.pick(this.#networks) ?? '';
    const { exitCode } = await lab.host(0).waggle(['network', 'rm', name], { check: false });
    if (exitCode === 0) this.#networks.splice(this.#networks.indexOf(name), 1);
  }

  async #run(): Promise<void> {
    const host = this.#host();
    const name = this.#name('c');
    this.#containers.push({ host, name });
    await host.swarmDocker(startCommand(name, this.random.pick(this.#networks) ?? ''), { check: false });
  }

  async #remove(): Promise<void> {
    const chosen = this.random.pick(this.#containers);
    if (chosen === undefined) return;
    this.#containers.splice(this.#containers.indexOf(chosen), 1);
    await chosen.host.docker(['rm', '-f', chosen.name], { check: false });
  }

  /** And off again, half of the time. */
  async #connect(): Promise<void> {
    const chosen = this.random.pick(this.#containers);
    const network = this.random.pick(this.#networks) ?? '';
    if (chosen === undefined) return;
    await chosen.host.swarmDocker(['network', 'connect', network, chosen.name], { check: false });
    if (this.random.chance(0.5)) return;
    await chosen.host.swarmDocker(['network', 'disconnect', '-f', network, chosen.name], { check: false });
  }

  async #service(): Promise<void> {
    const name = this.#name('s');
    const network = this.random.pick(this.#networks) ?? '';
    const command = ['service', 'create', '-d', '--name', name, '--replicas', '3', '--network', network];
    const { exitCode } = await lab.host(0).waggle([...command, TEST_IMAGE, 'sleep', '100000'], { check: false });
    if (exitCode === 0) this.#services.push(name);
  }

  async #removeService(): Promise<void> {
    const name = this.random.pick(this.#services) ?? '';
    this.#services.splice(this.#services.indexOf(name), 1);
    await lab.host(0).waggle(['service', 'rm', name], { check: false });
  }

  async #fault(): Promise<void> {
    const host = this.#host();
    if (this.random.chance(0.5)) {
      this.#count('kill of a daemon');
      await host.stopService('daemon', 'SIGKILL');
      await host.startDaemon();
      if (host === lab.host(0)) await eventually('the manager', () => host.waggle(['node', 'ls']), PATIENCE);
      return;
    }
    this.#count('freeze of a host');
    host.freeze();
    const until = performance.now() + FREEZE_MS;
    await eventually('the thaw', () => performance.now() > until);
    host.thaw();
  }

  #host(): Host {
    return this.random.pick(lab.hosts) ?? lab.host(0);
  }

  #name(prefix: string): string {
    return `${prefix}${++this.#serial}`;
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}

describe('networks under constant change', () => {
  it(
    `agree on all nodes during and after ${CYCLES} cycles, and leave nothing`,
    async () => {
      const soak = new Soak();
      for (let cycle = 1; cycle <= CYCLES; cycle++) {
        await soak.cycle();
        if (cycle % CHECK_EVERY === 0) await untilClean(lab.host(0));
      }
      await soak.end();
      const report = await untilClean(lab.host(0));
      expect(report).toMatchObject({ Networks: 0, Nodes: 3, Endpoints: 0 });
      for (const host of lab.hosts) {
        await eventually(
          `nothing to be left on ${host.name}`,
          async () => {
            const left = await leftovers(host);
            if (left.length > 0) throw new Error(left.join(' '));
          },
          PATIENCE,
        );
      }
      process.stdout.write(`seed ${SEED}: ${JSON.stringify(soak.counts)}\n`);
    },
    TIMEOUT_MS,
  );
});
