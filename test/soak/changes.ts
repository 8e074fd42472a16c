import type { Host } from '../lab/host.ts';
import { startCommand } from '../fixtures/network-swarm.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import type { RunResult } from '../lab/run.ts';
import type { SeededRandom } from '../sim/raft/seeded-random.ts';
import type { Inventory, KnownContainer, KnownNetwork, KnownService, NetworkKind } from './inventory.ts';
import type { SoakSwarm } from './soak-swarm.ts';

const MAX = { networks: 6, containers: 12, services: 4, replicas: 4 };
const MIN = { networks: 3, containers: 4, services: 1 };
/** Weight of removing a network that nobody is on any more. */
const EAGER = 8;
/** How often what is on a network that is to go goes first. */
const PREFERENCE = 0.7;
const PATIENCE = { check: false, timeoutMs: 90_000 };
/** Little room, and used again and again: what is left of a former holder is met by the next one. */
const SMALL_SUBNETS = ['10.66.1.0/27', '10.66.2.0/27', '10.66.3.0/29'];
/** Tasks would wait for an address here until somebody goes. */
const TINY = '/29';
const OPTIONS: Readonly<Record<NetworkKind, readonly string[]>> = {
  plain: [],
  ipv6: ['--ipv6'],
  encrypted: ['--opt', 'encrypted'],
  'encrypted-ipv6': ['--opt', 'encrypted', '--ipv6'],
  routed: ['-o', 'waggle.datapath=routed'],
};
const KINDS = ['plain', 'plain', 'ipv6', 'encrypted', 'encrypted-ipv6', 'routed'] as const;

export type Lane = 'make' | 'remove' | 'alter';

export interface ChangeResult {
  name: string;
  object: string;
  ok: boolean;
  /** What was said when it failed. */
  text: string;
}

type Act = () => Promise<ChangeResult>;

/** Changes of what runs in the swarm, chosen by chance among those that are possible. */
export class Changes {
  readonly #swarm: SoakSwarm;
  readonly #inventory: Inventory;
  readonly #random: SeededRandom;

  constructor(modules: { swarm: SoakSwarm; inventory: Inventory; random: SeededRandom }) {
    this.#swarm = modules.swarm;
    this.#inventory = modules.inventory;
    this.#random = modules.random;
  }

  /** Begins one. @returns undefined when nothing of the kind can be done now. */
  begin(lane: Lane): Promise<ChangeResult> | undefined {
    if (lane === 'remove') this.#retire();
    const bag = this.#choices(lane).flatMap(([weight, act]) => Array.from({ length: Math.max(0, weight) }, () => act));
    return this.#random.pick(bag)?.();
  }

  #choices(lane: Lane): [number, Act][] {
    if (lane === 'make') return this.#makings();
    return lane === 'remove' ? this.#removals() : this.#alterations();
  }

  #makings(): [number, Act][] {
    const { networks, containers, services } = this.#inventory;
    const open = this.#open();
    const roomy = open.filter(({ subnet }) => subnet?.endsWith(TINY) !== true);
    return [
      [MAX.networks - networks.size, () => this.#createNetwork()],
      [some(open, MAX.containers - containers.size), () => this.#run(open)],
      [some(roomy, MAX.services - services.size), () => this.#createService(roomy)],
    ];
  }

  #removals(): [number, Act][] {
    const { networks, containers, services } = this.#idle();
    const { size } = this.#inventory.networks;
    const users = [...this.#inventory.containers.values(), ...this.#inventory.services.values()];
    const empty = networks.filter(
      ({ name, retiring }) => retiring === true && this.#inventory.users(users, name).length === 0,
    );
    return [
      [some(empty, EAGER), () => this.#removeNetwork(empty)],
      // It is refused while somebody uses it.
      [some(networks, size > MIN.networks ? 1 : 0), () => this.#removeNetwork(networks)],
      [
        some(containers, this.#inventory.containers.size - MIN.containers),
        () => this.#removeContainer(this.#retired(containers)),
      ],
      [
        some(services, this.#inventory.services.size - MIN.services),
        () => this.#removeService(this.#retired(services)),
      ],
    ];
  }

  #alterations(): [number, Act][] {
    const { networks, containers, services } = this.#idle();
    const open = this.#open();
    return [
      [some(services, 2), () => this.#scale(services)],
      [some(services, 2), () => this.#update(services)],
      [some(services, 1), () => this.#killTask()],
      [some(containers, some(open, 3)), () => this.#connect(containers, open)],
      [some(containers, some(networks, 2)), () => this.#disconnect(containers, networks)],
      [some(containers, 2), () => this.#restart(containers)],
    ];
  }

  #idle(): { networks: KnownNetwork[]; containers: KnownContainer[]; services: KnownService[] } {
    const { networks, containers, services } = this.#inventory;
    return {
      networks: this.#inventory.idle(networks),
      containers: this.#inventory.idle(containers),
      services: this.#inventory.idle(services),
    };
  }

  /** Networks that somebody may come to. */
  #open(): KnownNetwork[] {
    return this.#idle().networks.filter(({ retiring }) => retiring !== true);
  }

  /** One network at a time is emptied, so that all of them come and go as containers do. */
  #retire(): void {
    const { networks } = this.#inventory;
    if (networks.size <= MIN.networks || [...networks.values()].some(({ retiring }) => retiring === true)) return;
    const chosen = this.#random.pick(this.#open());
    if (chosen !== undefined) chosen.retiring = true;
  }

  /** Mostly those that are on a network that is to go, if there are any. */
  #retired<T extends { networks: Iterable<string> }>(from: readonly T[]): readonly T[] {
    const retiring = [...this.#inventory.networks.values()].filter((network) => network.retiring === true);
    const there = retiring.flatMap(({ name }) => this.#inventory.users(from, name));
    return there.length > 0 && this.#random.chance(PREFERENCE) ? there : from;
  }

  async #createNetwork(): Promise<ChangeResult> {
    const { networks } = this.#inventory;
    const name = this.#inventory.name('n');
    const kind = this.#random.pick(KINDS) ?? 'plain';
    const taken = new Set([...networks.values()].map(({ subnet }) => subnet));
    const free = SMALL_SUBNETS.filter((subnet) => !taken.has(subnet));
    const subnet = this.#random.chance(0.5) ? this.#random.pick(free) : undefined;
    const subnets = [
      ...(subnet === undefined ? [] : ['--subnet', subnet]),
      ...(kind.endsWith('ipv6') ? ['--subnet', `fd00:${name.slice(1)}::/64`] : []),
    ];
    const known: KnownNetwork = {
      name,
      kind,
      certainty: 'unsure',
      busy: true,
      ...(subnet === undefined ? {} : { subnet }),
    };
    networks.set(name, known);
    const args = ['network', 'create', '-d', 'overlay', '--attachable', ...OPTIONS[kind], ...subnets, name];
    return this.#made(`create ${kind} network`, known, this.#ask(args));
  }

  async #removeNetwork(idle: readonly KnownNetwork[]): Promise<ChangeResult> {
    const known = this.#take(idle);
    return this.#removed('remove network', this.#inventory.networks, known, this.#ask(['network', 'rm', known.name]));
  }

  async #run(networks: readonly KnownNetwork[]): Promise<ChangeResult> {
    const host = this.#random.pick(this.#swarm.hosts) ?? this.#swarm.lab.host(0);
    const name = this.#inventory.name('c');
    const network = this.#random.pick(networks)?.name ?? '';
    const known: KnownContainer = { name, host, networks: new Set([network]), certainty: 'unsure', busy: true };
    this.#inventory.containers.set(name, known);
    const options = this.#random.chance(0.4) ? ['--restart', 'always'] : [];
    return this.#made('run', known, this.#onHost(host, startCommand(name, network, ...options)));
  }

  async #removeContainer(idle: readonly KnownContainer[]): Promise<ChangeResult> {
    const known = this.#take(idle);
    const removal = this.#onHost(known.host, ['rm', '-f', known.name]);
    return this.#removed('remove container', this.#inventory.containers, known, removal);
  }

  async #createService(networks: readonly KnownNetwork[]): Promise<ChangeResult> {
    const name = this.#inventory.name('s');
    const chosen = this.#random.shuffle(networks).slice(0, this.#random.chance(0.3) ? 2 : 1);
    const replicas = this.#random.chance(0.25) ? 'global' : this.#random.int(1, MAX.replicas);
    const known: KnownService = {
      name,
      networks: chosen.map((network) => network.name),
      replicas,
      certainty: 'unsure',
      busy: true,
    };
    this.#inventory.services.set(name, known);
    const mode = replicas === 'global' ? ['--mode', 'global'] : ['--replicas', String(replicas)];
    const order = this.#random.chance(0.3) ? ['--update-order', 'start-first'] : [];
    const networkArgs = chosen.flatMap((network) => ['--network', network.name]);
    const pace = '--restart-delay 500ms --stop-grace-period 1s --update-monitor 500ms --update-parallelism 2';
    const args = ['service', 'create', '-d', '--name', name, ...mode, ...order, ...networkArgs, ...pace.split(' ')];
    const command = [...args, '--update-failure-action', 'continue', TEST_IMAGE, 'sleep', '100000'];
    return this.#made('create service', known, this.#ask(command));
  }

  async #removeService(idle: readonly KnownService[]): Promise<ChangeResult> {
    const known = this.#take(idle);
    return this.#removed('remove service', this.#inventory.services, known, this.#ask(['service', 'rm', known.name]));
  }

  async #scale(idle: readonly KnownService[]): Promise<ChangeResult> {
    const known = this.#take(
      idle.filter(({ replicas }) => replicas !== 'global').length > 0
        ? idle.filter(({ replicas }) => replicas !== 'global')
        : idle,
    );
    if (known.replicas === 'global') return this.#update([known]);
    const replicas = this.#random.int(0, MAX.replicas);
    known.replicas = undefined;
    const result = await this.#altered(
      'scale',
      known,
      this.#ask(['service', 'scale', '-d', `${known.name}=${replicas}`]),
    );
    if (result.ok) known.replicas = replicas;
    return result;
  }

  async #update(idle: readonly KnownService[]): Promise<ChangeResult> {
    const known = this.#take(idle);
    const change = ['--env-add', `TURN=${this.#inventory.name('')}`];
    return this.#altered('update service', known, this.#ask(['service', 'update', '-d', ...change, known.name]));
  }

  /** Any one, as a process that dies. */
  async #killTask(): Promise<ChangeResult> {
    const host = this.#random.pick(this.#swarm.hosts) ?? this.#swarm.lab.host(0);
    const script =
      'id=$(docker ps -q --filter label=com.docker.swarm.task.id | head -1); [ -z "$id" ] || docker kill "$id"';
    return resultOf('kill a task', host.name, await host.exec(['sh', '-c', script], PATIENCE));
  }

  async #connect(idle: readonly KnownContainer[], networks: readonly KnownNetwork[]): Promise<ChangeResult> {
    const known = this.#take(idle);
    const network = this.#random.pick(networks)?.name ?? '';
    known.networks.add(network);
    const result = await this.#altered(
      'connect',
      known,
      this.#onHost(known.host, ['network', 'connect', network, known.name]),
    );
    // An engine whose driver was cut off while it connected shows the container on the network, and has no endpoint for it (20.10).
    const undo = ['network', 'disconnect', '-f', network, known.name];
    if (/was cut off/.test(result.text)) await known.host.docker(undo, { ...PATIENCE, check: false });
    return result;
  }

  async #disconnect(idle: readonly KnownContainer[], networks: readonly KnownNetwork[]): Promise<ChangeResult> {
    const known = this.#take(idle);
    const network = this.#random.pick(networks)?.name ?? '';
    const force = this.#random.chance(0.5) ? ['-f'] : [];
    const command = ['network', 'disconnect', ...force, network, known.name];
    return this.#altered('disconnect', known, this.#onHost(known.host, command));
  }

  async #restart(idle: readonly KnownContainer[]): Promise<ChangeResult> {
    const known = this.#take(idle);
    const [name, command] = this.#random.pick([
      ['stop', ['stop', '-t', '0', known.name]],
      ['start', ['start', known.name]],
      ['restart', ['restart', '-t', '0', known.name]],
      ['kill', ['kill', known.name]],
    ] as const) ?? ['start', ['start', known.name]];
    return this.#altered(`${name} container`, known, this.#onHost(known.host, command));
  }

  #take<T extends { busy: boolean }>(from: readonly T[]): T {
    const chosen = this.#random.pick(from);
    if (chosen === undefined) throw new Error('there is nothing to choose from');
    chosen.busy = true;
    return chosen;
  }

  #ask(args: readonly string[]): Promise<RunResult> {
    const manager = this.#swarm.someManager(this.#random);
    return this.#random.chance(0.8) ? manager.swarmDocker(args, PATIENCE) : manager.waggle(args, PATIENCE);
  }

  /** By either socket. */
  #onHost(host: Host, args: readonly string[]): Promise<RunResult> {
    return this.#random.chance(0.5) ? host.swarmDocker(args, PATIENCE) : host.docker(args, PATIENCE);
  }

  async #made(
    name: string,
    known: KnownNetwork | KnownContainer | KnownService,
    running: Promise<RunResult>,
  ): Promise<ChangeResult> {
    const result = await this.#altered(name, known, running);
    if (result.ok) known.certainty = 'sure';
    return result;
  }

  async #removed<T extends KnownNetwork | KnownContainer | KnownService>(
    name: string,
    of: Map<string, T>,
    known: T,
    running: Promise<RunResult>,
  ): Promise<ChangeResult> {
    const before = known.certainty;
    known.certainty = 'unsure';
    const result = await this.#altered(name, known, running);
    if (result.ok) this.#inventory.forget(of, known.name);
    else if (isRefusal(result.text)) known.certainty = before;
    return result;
  }

  async #altered(
    name: string,
    known: { name: string; busy: boolean },
    running: Promise<RunResult>,
  ): Promise<ChangeResult> {
    try {
      return resultOf(name, known.name, await running);
    } finally {
      known.busy = false;
    }
  }
}

/** @returns 0 when there is nobody to do it to. */
function some(of: readonly unknown[], weight: number): number {
  return of.length > 0 ? weight : 0;
}

/** The swarm has said no: nothing was changed. */
function isRefusal(text: string): boolean {
  return /is in use by|has active endpoints/.test(text);
}

function resultOf(name: string, object: string, { exitCode, stderr, stdout }: RunResult): ChangeResult {
  return { name, object, ok: exitCode === 0, text: exitCode === 0 ? '' : `${stderr}${stdout}`.trim() };
}
