import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { inspectContainer, removeContainer, runContainer } from './containers.ts';
import { Lookout } from './lookout.ts';
import { Place } from './place.ts';
import { machineMs } from './probe/watch-protocol.ts';
import type { SocketApi } from './socket-api.ts';

/** A running container that is on no overlay network when nobody uses it. */
export interface Guest {
  /** Index of its host. */
  host: number;
  id: string;
  name: string;
}

/** How an endpoint came to be; milliseconds. */
export interface Arrival {
  /** The engine's call that made it. */
  callMs: number;
  /** From the call's return until it has answered on the last of the other hosts; 0 when it had before. */
  reachMs: number;
  /** The same from its first answer on its own host: what it takes to be known elsewhere. */
  spreadMs: number;
}

export interface FieldHost {
  host: Host;
  engine: SocketApi;
}

/**
 * What reachability is measured with: on each host a container with a lookout, on the network all the time, and some guests that are
 * connected to it and disconnected. Addresses are given, so that the lookouts can ask before the engine's call has returned.
 */
export class ReachField {
  readonly guests: Guest[] = [];
  readonly #hosts: readonly FieldHost[];
  readonly #network: string;
  readonly #stays: Guest[] = [];
  readonly #lookouts: Lookout[] = [];

  private constructor(hosts: readonly FieldHost[], network: string) {
    this.#hosts = hosts;
    this.#network = network;
  }

  /** @param guests on each host. */
  static async open(hosts: readonly FieldHost[], network: string, guests: number): Promise<ReachField> {
    const field = new ReachField(hosts, network);
    try {
      for (let host = 0; host < hosts.length; host++) {
        field.#stays.push(await field.#run(host, `${network}-stay${host}`));
        await field.#connectSoon(host);
        for (let index = 0; index < guests; index++) {
          field.guests.push(await field.#run(host, `${network}-guest${host}-${index}`));
        }
      }
      for (const stay of field.#stays) field.#lookouts.push(await field.lookoutIn(stay));
      return field;
    } catch (error) {
      await field.close();
      throw error;
    }
  }

  get hosts(): number {
    return this.#hosts.length;
  }

  /** Containers with a lookout, by host. */
  get stays(): readonly Guest[] {
    return this.#stays;
  }

  /** A lookout in the container, which belongs to the caller. */
  async lookoutIn(guest: Guest): Promise<Lookout> {
    const { host, engine } = this.#at(guest.host);
    const { pid } = await inspectContainer(engine, guest.id, this.#network);
    return Lookout.open(new Place(host, '', pid));
  }

  async connect(guest: Guest, address: string | undefined, network = this.#network): Promise<void> {
    await this.#at(guest.host).engine.post(`/networks/${network}/connect`, {
      Container: guest.id,
      EndpointConfig: address === undefined ? {} : { IPAMConfig: { IPv4Address: address } },
    });
  }

  async disconnect(guest: Guest, network = this.#network): Promise<void> {
    await this.#at(guest.host).engine.post(`/networks/${network}/disconnect`, { Container: guest.id, Force: true });
  }

  /** @throws SocketApiError until the host's engine has it. */
  async hasNetwork(host: number, network: string): Promise<void> {
    await this.#at(host).engine.get(`/networks/${network}`);
  }

  /** Address that the container was given on the network. */
  async addressOf(guest: Guest, network: string): Promise<string> {
    return (await inspectContainer(this.#at(guest.host).engine, guest.id, network)).address;
  }

  /** Connects a guest and waits until it answers everywhere. */
  async arrive(guest: Guest, address: string, network = this.#network): Promise<Arrival> {
    const seen = Promise.all(this.#lookouts.map((lookout) => lookout.watch('reach', address)));
    const began = machineMs();
    // When the connecting fails, nobody waits for the sightings.
    seen.catch(() => undefined);
    await this.connect(guest, address, network);
    const returned = machineMs();
    const times = await seen;
    const last = Math.max(...times.filter((_, host) => host !== guest.host));
    return {
      callMs: returned - began,
      reachMs: Math.max(0, last - returned),
      spreadMs: Math.max(0, last - (times[guest.host] ?? last)),
    };
  }

  /** Disconnects a guest. @returns from the call's return until the last of the other hosts' overlays has let go of the address; 0 when before. */
  async depart(guest: Guest, address: string): Promise<number> {
    await Promise.all(this.#others(guest).map((lookout) => lookout.watch('hold', address)));
    const seen = this.#others(guest).map((lookout) => lookout.watch('drop', address));
    return this.#after(() => this.disconnect(guest), seen);
  }

  /** @returns from the call's return until the last of the other hosts' resolvers has the guest's name; 0 when before. */
  nameComes(guest: Guest, address: string): Promise<number> {
    const seen = this.#others(guest).map((lookout) => lookout.watch('name', guest.name));
    return this.#after(() => this.connect(guest, address), seen);
  }

  /** The same for its end, once it is known. */
  nameGoes(guest: Guest): Promise<number> {
    const seen = this.#others(guest).map((lookout) => lookout.watch('unname', guest.name));
    return this.#after(() => this.disconnect(guest), seen);
  }

  async close(): Promise<void> {
    for (const lookout of this.#lookouts.splice(0)) await lookout.close();
    const containers = [...this.#stays.splice(0), ...this.guests.splice(0)];
    await Promise.all(containers.map(({ host, id }) => removeContainer(this.#at(host).engine, id)));
  }

  #others(guest: Guest): Lookout[] {
    return this.#lookouts.filter((_, host) => host !== guest.host);
  }

  async #after(act: () => Promise<void>, sightings: readonly Promise<number>[]): Promise<number> {
    const seen = Promise.all(sightings);
    seen.catch(() => undefined);
    await act();
    const returned = machineMs();
    return Math.max(0, Math.max(...(await seen)) - returned);
  }

  async #run(host: number, name: string): Promise<Guest> {
    return { host, id: await runContainer(this.#at(host).engine, { name }), name };
  }

  /** A worker may hear of the network a moment later. */
  async #connectSoon(host: number): Promise<void> {
    const stay = this.#stays[host];
    if (stay === undefined) throw new Error(`host ${host} has no container`);
    await eventually(`${this.#network} on host ${host}`, () => this.connect(stay, undefined));
  }

  #at(host: number): FieldHost {
    const found = this.#hosts[host];
    if (found === undefined) throw new Error(`there is no host ${host}`);
    return found;
  }
}
