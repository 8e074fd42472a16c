import { randomBytes } from 'node:crypto';
import type { z } from 'zod';
import {
  type PathEvidence,
  pathEvidenceSchema,
  type ProbeAnswer,
  probeAnswerSchema,
  type Sighting,
  sightingsAnswerSchema,
} from '../../proto/objects/diagnosis/path.ts';
import type { Question } from '../../proto/objects/diagnosis/question.ts';
import type { NetworkTrace as Report, TraceEnd, TraceHop } from '../../proto/objects/diagnosis/report.ts';
import { endpointsAnswerSchema } from '../../proto/objects/diagnosis/survey.ts';
import type { NetworkObject } from '../../proto/objects/network.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Store } from '../store/transaction.ts';
import { addressKey, bare, declaredAddresses } from './declared-addresses.ts';
import type { Inquiry } from './inquiry.ts';
import { inParallel } from './parallel.ts';
import { type End, type EndFacts, type PlacedEndpoint, resolveEnds, type TraceEnds } from './trace-ends.ts';
import { type TracedEnd, type TracedPath, tracePath } from './trace-path.ts';

/** All of them one after the other must be over before a manager that asks for a user gives up (20 s). */
const ASK_MS = 4_000;
const WATCH_MS = 6_000;
const PROBE_MS = 5_000;
/** Of the whole IPv4 packet. */
const SMALL_BYTES = 84;
/** Outer IPv4, UDP and VXLAN headers, and the inner Ethernet header: what a tunnel adds to an IPv4 packet (RFC 7348). */
const TUNNEL_BYTES = 50;

export interface NetworkTraceModules {
  store: Store;
  inquiry: Pick<Inquiry, 'ask'>;
}

type Probes = { small: ProbeAnswer; full: ProbeAnswer };
const NOT_SENT: ProbeAnswer = { sent: 0, received: 0, rttMs: 0, error: '', pathMtu: 0 };

/**
 * Walks the way of a packet between two containers: asks both nodes how they stand, has marked packets sent while both
 * look out for them, and lays all of it side by side (trace-path.ts).
 */
export class NetworkTrace {
  readonly #modules: NetworkTraceModules;

  constructor(modules: NetworkTraceModules) {
    this.#modules = modules;
  }

  /** @throws WaggleError not-found, invalid-argument, unavailable, in words for the user; what is broken is no error. */
  async run(request: { from: string; to: string }, only: NetworkObject | undefined): Promise<Report> {
    const facts = await this.#endFacts();
    const ends = resolveEnds(facts, request, only);
    const { network, from, to } = ends;
    if (network === undefined || from.placed === undefined || to.placed === undefined) {
      return report(ends, [this.#noWay(facts, ends, only)]);
    }
    return report(ends, await this.#walk(network, from.placed, to.placed));
  }

  async #endFacts(): Promise<EndFacts> {
    const { nodes, tasks, networks } = this.#modules.store.view((tx) => ({
      nodes: [...tx.all('nodes')].map(({ ID, Description }) => ({ nodeId: ID, node: Description?.Hostname ?? ID })),
      tasks: [...tx.all('tasks')],
      networks: new Map([...tx.all('networks')].map((network) => [network.ID, network])),
    }));
    const endpoints: PlacedEndpoint[] = [];
    const silent: { nodeId: string; node: string; error: string }[] = [];
    await inParallel(nodes, async ({ nodeId, node }) => {
      const answer = await this.#ask(nodeId, { kind: 'endpoints' }, endpointsAnswerSchema, ASK_MS);
      if (typeof answer === 'string') silent.push({ nodeId, node, error: answer });
      else for (const endpoint of answer.endpoints) endpoints.push({ nodeId, node, vtep: answer.vtep, endpoint });
    });
    return { endpoints, tasks, networks, silent };
  }

  /** Why there is no way to walk. */
  #noWay(facts: EndFacts, { network, from, to }: TraceEnds, only: NetworkObject | undefined): TraceHop {
    const at = { NodeID: from.NodeID, Node: from.Node, OK: false };
    if (network === undefined) {
      return {
        ...at,
        Hop: only === undefined ? 'network in common' : `network ${only.Spec.Name}`,
        Seen: `${from.Ref} is on ${networkName(facts, from)}, ${to.Ref} on ${networkName(facts, to)}`,
        Expected: only === undefined ? 'a network that both are on' : 'both are on it',
        Advice: 'waggle network connect puts a container on a network; a service gets --network',
      };
    }
    return {
      ...at,
      Hop: `endpoint with ${to.Address}`,
      Seen: this.#holderWords(network.ID, to.Address),
      Expected: `a container on network ${network.Spec.Name}`,
      Advice:
        facts.silent.length === 0
          ? ''
          : `nodes that did not answer: ${facts.silent.map(({ node }) => node).join(', ')}`,
    };
  }

  #holderWords(networkId: string, address: string): string {
    return this.#modules.store.view((tx) => {
      const gateway = tx.get('networks', networkId)?.Allocated?.Subnets.some(({ Gateway }) => Gateway === address);
      if (gateway === true) return 'the gateway of the network, which each host has for itself';
      for (const service of tx.all('services')) {
        const virtual = service.Endpoint?.VirtualIPs ?? [];
        if (virtual.some(({ NetworkID, Addr }) => NetworkID === networkId && bare(Addr ?? '') === address)) {
          return `the virtual address of service ${service.Spec.Name}: trace to one of its tasks`;
        }
      }
      const declared = declaredAddresses([...tx.all('tasks')], [...tx.all('attachments')]);
      const [holder] = declared.get(addressKey(networkId, address)) ?? [];
      return holder === undefined ? 'nobody has the address' : `no endpoint, though it is held by ${holder.words}`;
    });
  }

  async #walk(network: NetworkObject, from: PlacedEndpoint, to: PlacedEndpoint): Promise<TraceHop[]> {
    const path = (end: PlacedEndpoint, peer: PlacedEndpoint): Promise<PathEvidence | string> =>
      this.#path(network.ID, end, peer);
    const [first, toEvidence] = await Promise.all([path(from, to), path(to, from)]);
    const size = mtuOf(first) || mtuOf(toEvidence) || SMALL_BYTES;
    const way = wayOf(from, first, toEvidence);
    const [fromVtep, toVtep] = [vtepOf(from, first), vtepOf(to, toEvidence)];
    const onWire = way === 'routed' ? size : size + TUNNEL_BYTES;
    const isRemote = from.nodeId !== to.nodeId;
    const marker = randomBytes(8).toString('hex');
    const watched = await this.#beginWatch(network.ID, [...new Set([from.nodeId, to.nodeId])], marker);
    const [echo, there, back] = await Promise.all([
      this.#echo(network.ID, from, to.endpoint.address, marker, size),
      isRemote ? this.#underlay(from.nodeId, toVtep, onWire) : undefined,
      isRemote ? this.#underlay(to.nodeId, fromVtep, onWire) : undefined,
    ]);
    const [sightings, last] = await Promise.all([this.#sightings(watched, marker), path(from, to)]);
    // What the probe left in the sandbox, such as an unanswered ARP entry, is seen only afterwards; rows may be repaired by then.
    const fromEvidence =
      typeof first === 'string' || typeof last === 'string' || last.sandbox === undefined
        ? first
        : { ...first, sandbox: last.sandbox };
    const end = (
      { nodeId, node, endpoint }: PlacedEndpoint,
      vtep: string,
      evidence: PathEvidence | string,
      underlay: Probes | undefined,
    ): TracedEnd => ({ nodeId, node, vtep, endpoint, evidence, sightings: sightings.get(nodeId), underlay });
    return tracePath({
      from: end(from, fromVtep, fromEvidence, there),
      to: end(to, toVtep, toEvidence, back),
      way,
      vni: network.Allocated?.VNIs[0] ?? 0,
      echo: typeof echo === 'string' ? echo : { ...echo, size },
    });
  }

  #path(networkId: string, end: PlacedEndpoint, peer: PlacedEndpoint): Promise<PathEvidence | string> {
    const question = {
      kind: 'path',
      networkId,
      endpointId: end.endpoint.endpointId,
      peer: peer.endpoint.address,
    } as const;
    return this.#ask(end.nodeId, question, pathEvidenceSchema, ASK_MS) as Promise<PathEvidence | string>;
  }

  /** @returns the nodes that look out. */
  async #beginWatch(networkId: string, nodeIds: readonly string[], marker: string): Promise<string[]> {
    const answers = await inParallel(nodeIds, async (nodeId) => {
      try {
        await this.#modules.inquiry.ask(nodeId, { kind: 'watch', networkId, marker }, WATCH_MS);
        return [nodeId];
      } catch {
        return []; // told as a hop at which nobody looked
      }
    });
    return answers.flat();
  }

  async #sightings(nodeIds: readonly string[], marker: string): Promise<Map<string, readonly Sighting[]>> {
    const seen = new Map<string, readonly Sighting[]>();
    await inParallel(nodeIds, async (nodeId) => {
      const answer = await this.#ask(nodeId, { kind: 'sightings', marker }, sightingsAnswerSchema, ASK_MS);
      if (typeof answer !== 'string') seen.set(nodeId, answer.sightings);
    });
    return seen;
  }

  async #echo(
    networkId: string,
    from: PlacedEndpoint,
    address: string,
    marker: string,
    size: number,
  ): Promise<Probes | string> {
    const probe = (bytes: number): Promise<ProbeAnswer | string> => {
      const { endpointId } = from.endpoint;
      const question = { kind: 'probe', networkId, endpointId, address, marker, size: bytes } as const;
      return this.#ask(from.nodeId, question, probeAnswerSchema, PROBE_MS);
    };
    return smallThenFull(probe, size);
  }

  /** @param size of the whole packet between the hosts. */
  async #underlay(nodeId: string, address: string, size: number): Promise<Probes | undefined> {
    const probes = await smallThenFull((bytes) => {
      const question = { kind: 'underlay', address, size: bytes } as const;
      return this.#ask(nodeId, question, probeAnswerSchema, PROBE_MS);
    }, size);
    return typeof probes === 'string' ? undefined : probes;
  }

  /** @returns why there is no answer, when there is none. */
  async #ask<T>(nodeId: string, question: Question, schema: z.ZodType<T>, timeoutMs: number): Promise<T | string> {
    try {
      return schema.parse(await this.#modules.inquiry.ask(nodeId, question, timeoutMs));
    } catch (error) {
      return messageOf(error).slice(0, 300);
    }
  }
}

/** Long packets are only tried where short ones pass. */
async function smallThenFull(
  probe: (bytes: number) => Promise<ProbeAnswer | string>,
  size: number,
): Promise<Probes | string> {
  const small = await probe(SMALL_BYTES);
  if (typeof small === 'string') return small;
  const full = small.received === 0 ? NOT_SENT : await probe(size);
  return typeof full === 'string' ? full : { small, full };
}

/** The VTEP of this network: an encrypted one has a tunnel's address in the place of the host's. */
function vtepOf({ vtep }: PlacedEndpoint, evidence: PathEvidence | string): string {
  return typeof evidence === 'string' || evidence.wanted.local === '' ? vtep : evidence.wanted.local;
}

function wayOf(from: PlacedEndpoint, ...evidence: (PathEvidence | string)[]): TracedPath['way'] {
  if (evidence.some((each) => typeof each !== 'string' && each.rows.routed)) return 'routed';
  const [first = ''] = evidence;
  return vtepOf(from, first) === from.vtep ? 'tunnel' : 'encrypted';
}

function mtuOf(evidence: PathEvidence | string): number {
  return typeof evidence === 'string' ? 0 : evidence.sandbox?.mtu || evidence.wanted.mtu;
}

function networkName({ networks }: EndFacts, { placed }: End): string {
  const id = placed?.endpoint.networkId;
  return id === undefined ? 'no network' : (networks.get(id)?.Spec.Name ?? id);
}

function report({ network, from, to }: TraceEnds, hops: TraceHop[]): Report {
  return {
    NetworkID: network?.ID ?? '',
    Network: network?.Spec.Name ?? '',
    From: shown(from),
    To: shown(to),
    Hops: hops,
    OK: hops.every(({ OK }) => OK !== false),
  };
}

function shown({ Ref, Name, Address, NodeID, Node }: End): TraceEnd {
  return { Ref, Name, Address, NodeID, Node };
}
