import type { Host } from '../lab/host.ts';

/**
 * `sure`: its creation was acknowledged and nobody has asked for its end. `unsure`: a creation or a removal of it has failed, so it may
 * be there or not.
 */
export type Certainty = 'sure' | 'unsure';

export type NetworkKind = 'plain' | 'ipv6' | 'encrypted' | 'encrypted-ipv6' | 'routed';

export interface KnownNetwork {
  name: string;
  kind: NetworkKind;
  /** An explicit IPv4 subnet, if it was given one. */
  subnet?: string;
  /** Nothing more comes to it: it is to be removed once nobody is on it. */
  retiring?: boolean;
  certainty: Certainty;
  /** A change of it is under way. */
  busy: boolean;
}

export interface KnownContainer {
  name: string;
  host: Host;
  /** On which it was put, whether or not it still is. */
  networks: Set<string>;
  certainty: Certainty;
  busy: boolean;
}

export interface KnownService {
  name: string;
  networks: string[];
  /** `global`, or how many; undefined when a change of the number has failed. */
  replicas: number | 'global' | undefined;
  certainty: Certainty;
  busy: boolean;
}

interface Known {
  name: string;
  certainty: Certainty;
  busy: boolean;
}

/** What ought to exist, by what the swarm and the engines have acknowledged. */
export class Inventory {
  readonly networks = new Map<string, KnownNetwork>();
  readonly containers = new Map<string, KnownContainer>();
  readonly services = new Map<string, KnownService>();
  /** Names of containers and services that were, newest last. */
  readonly gone: string[] = [];
  #serial = 0;

  name(prefix: string): string {
    return `${prefix}${++this.#serial}`;
  }

  /** Those that nothing is being done to. */
  idle<T extends Known>(of: ReadonlyMap<string, T>): T[] {
    return [...of.values()].filter(({ busy }) => !busy);
  }

  /** Those that were put on the network, as far as is known. */
  users<T extends { networks: Iterable<string> }>(of: readonly T[], network: string): T[] {
    return of.filter(({ networks }) => [...networks].includes(network));
  }

  /** Takes it away for good. */
  forget(of: Map<string, Known>, name: string): void {
    of.delete(name);
    this.gone.push(name);
  }

  /**
   * Compares with the names that there are. What was not sure becomes so: it is kept if it is there and forgotten if it is not.
   * @returns what was acknowledged and is not there, and what is there and was removed or never made.
   */
  settle(what: string, of: Map<string, Known>, names: readonly string[]): string[] {
    const present = new Set(names);
    const wrong: string[] = [];
    for (const known of [...of.values()]) {
      if (present.has(known.name)) known.certainty = 'sure';
      else {
        if (known.certainty === 'sure') wrong.push(`${what} ${known.name} was made and is not there`);
        this.forget(of, known.name);
      }
    }
    return [
      ...wrong,
      ...names.filter((name) => !of.has(name)).map((name) => `${what} ${name} is there and should not be`),
    ];
  }
}
