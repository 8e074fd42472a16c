import { eventually } from '../lab/eventually.ts';
import { inspectContainer, removeContainer, runContainer } from './containers.ts';
import type { Contender } from './ledger.ts';
import { Place, type PlacePair } from './place.ts';
import { openSide, type Side, type SideName } from './side.ts';

/** An attachable overlay network that both swarms have. */
export const NETWORK = 'bench';
/**
 * Networks of Waggle's alone, with their options: the same without encapsulation, and through WireGuard. Swarm's encryption needs IPsec in
 * the kernel, which not every machine has.
 */
const OWN_NETWORKS = { routed: { 'waggle.datapath': 'routed' }, encrypted: { encrypted: '' } } as const;
const WORKERS = 2;

export interface Sides {
  waggle: Side;
  swarm: Side;
}

interface Attached {
  side: Side;
  host: number;
  id: string;
}

/**
 * Both swarms, each on three hosts of its own. All hosts are up at the same time, and only one side is ever under load: to start
 * engines anew between measurements would disturb more than three idle ones do.
 */
export class Stage {
  readonly #say: (line: string) => void;
  #opening: Promise<Sides> | undefined;
  #destroying: Promise<void> | undefined;
  #formed = false;
  #attached: Attached[] = [];
  #pairs: Partial<Record<Contender, PlacePair>> = {};
  readonly #ownNetworks = new Set<keyof typeof OWN_NETWORKS>();

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  /** The hosts, with or without a swarm on them. */
  hosts(): Promise<Sides> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  /** Both as swarms of one manager and two workers, with the network. */
  async swarms(): Promise<Sides> {
    const sides = await this.hosts();
    if (this.#formed) return sides;
    for (const side of [sides.waggle, sides.swarm]) {
      await side.dissolve();
      await side.form(1, WORKERS);
      await side.api.post('/networks/create', {
        Name: NETWORK,
        Driver: 'overlay',
        Attachable: true,
        CheckDuplicate: true,
      });
    }
    this.#formed = true;
    return sides;
  }

  /** Per contender a client on the first host and a server on the second: containers on the overlay, or the hosts themselves. */
  async pairs(): Promise<readonly [Contender, PlacePair][]> {
    const { waggle, swarm } = await this.swarms();
    this.#pairs.waggle ??= await this.#attachPair(waggle);
    this.#pairs.swarm ??= await this.#attachPair(swarm);
    const [first, second] = [swarm.lab.host(0), swarm.lab.host(1)];
    const bare = { client: new Place(first, first.address), server: new Place(second, second.address) };
    return [
      ['waggle', this.#pairs.waggle],
      ['swarm', this.#pairs.swarm],
      ['bare', bare],
    ];
  }

  /**
   * Runs the work with a pair on a network of Waggle's alone. Before and after it the hosts have nothing of such a network: each has
   * rules of its own in the host, which packets of the others pass too.
   */
  async withOwnPair(kind: keyof typeof OWN_NETWORKS, work: (pair: PlacePair) => Promise<void>): Promise<void> {
    const { waggle } = await this.swarms();
    const name = `${NETWORK}-${kind}`;
    if (!this.#ownNetworks.has(kind)) {
      const Options = OWN_NETWORKS[kind];
      await waggle.api.post('/networks/create', { Name: name, Driver: 'overlay', Attachable: true, Options });
      this.#ownNetworks.add(kind);
    }
    const others = this.#attached.length;
    try {
      await work(await this.#attachPair(waggle, name));
    } finally {
      await removeAll(this.#attached.splice(others));
    }
  }

  /** Takes both swarms apart; the hosts stay. */
  async dissolve(): Promise<Sides> {
    const sides = await this.hosts();
    await removeAll(this.#attached.splice(0));
    this.#pairs = {};
    this.#ownNetworks.clear();
    this.#formed = false;
    for (const side of [sides.waggle, sides.swarm]) await side.dissolve();
    return sides;
  }

  destroy(): Promise<void> {
    this.#destroying ??= this.#destroy();
    return this.#destroying;
  }

  async #destroy(): Promise<void> {
    // When they could not be made there are none.
    const sides = await this.#opening?.catch(() => undefined);
    if (sides !== undefined) await Promise.all([sides.waggle.destroy(), sides.swarm.destroy()]);
  }

  async #open(): Promise<Sides> {
    this.#say('starting six hosts: three for Waggle, three for Docker Swarm');
    const waggle = await openSide('waggle', this.#say);
    try {
      return { waggle, swarm: await openSide('swarm', this.#say) };
    } catch (error) {
      await waggle.destroy();
      throw error;
    }
  }

  async #attachPair(side: Side, network = NETWORK): Promise<PlacePair> {
    return { client: await this.#attach(side, network, 0), server: await this.#attach(side, network, 1) };
  }

  async #attach(side: Side, network: string, host: number): Promise<Place> {
    const engine = side.engines[host] ?? side.api;
    // A worker may hear of the network a moment later.
    const id = await eventually(`a container on ${network} of ${side.name}`, () => runContainer(engine, { network }));
    this.#attached.push({ side, host, id });
    const { pid, address } = await inspectContainer(engine, id, network);
    return new Place(side.lab.host(host), address, pid);
  }
}

async function removeAll(attached: readonly Attached[]): Promise<void> {
  for (const { side, host, id } of attached) await removeContainer(side.engines[host] ?? side.api, id);
}

/** The two swarms with their names, in the order of measurement. */
export function eachSide(sides: Sides): readonly [SideName, Side][] {
  return [
    ['waggle', sides.waggle],
    ['swarm', sides.swarm],
  ];
}
