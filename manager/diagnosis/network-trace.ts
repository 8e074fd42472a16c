import { randomBytes } from 'node:crypto';
import type { z } from 'zod';
import {
  type AddressFamily,
  familyOf,
  type PathEvidence,
  pathEvidenceSchema,
  type ProbeAnswer,
  probeAnswerSchema,
  type Sighting,
  sightingsAnswerSchema,
} from '../../proto/objects/diagnosis/path.ts';
import type { Question } from '../../proto/objects/diagnosis/question.ts';
import type { NetworkTrace as Report, TraceEnd, TraceHop, TraceRequest } from '../../proto/objects/diagnosis/report.ts';
import { endpointsAnswerSchema } from '../../proto/objects/diagnosis/survey.ts';
import type { NetworkObject } from '../../proto/objects/network.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Store } from '../store/transaction.ts';
import { addressKey, bare, declaredAddresses } from './declared-addresses.ts';
import type { Inquiry } from './inquiry.ts';
import { inParallel } from './parallel.ts';
import { addressOf, type End, type EndFacts, type PlacedEndpoint, resolveEnds, type TraceEnds } from './trace-ends.ts';
import { type TracedEnd, type TracedPath, traceHops } from './trace-path.ts';

/** All of them one after the other must be over before a manager that asks for a user gives up (20 s). */
const ASK_MS = 4_000;
const WATCH_MS = 6_000;
const PROBE_MS = 5_000;
/** Of the whole IP packet. */
const SMALL_BYTES = 84;
/** Outer IP, UDP and VXLAN headers, and the inner Ethernet header: what a tunnel adds to a packet (RFC 7348). */
const TUNNEL_BYTES: Readonly<Record<AddressFamily, number>> = { 4: 50, 6: 70 };

export interface NetworkTraceModules {
  store: Store;
  inquiry: Pick<Inquiry, 'ask'>;
}

/** The two addresses between which the way is walked, of one family. */
interface Leg {
  from: string;
  to: string;
}

/** What the nodes of the two ends tell of a leg. */
interface Evidence {
  from: PathEvidence | string;
  to: PathEvidence | string;
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
  async run(request: TraceRequest, only: NetworkObject | undefined): Promise<Report> {
    const facts = await this.#endFacts();
    const ends = resolveEnds(facts, request, only);
    const { network, from, to } = ends;
    if (network === undefined || from.placed === undefined || to.placed === undefined) {
      return report(ends, [this.#noWay(facts, ends, only)]);
    }
    const { legs, lacking } = legsOf(from.placed, to.placed, ends.families);
    return report(ends, lacking ?? (await this.#walk(network, from.placed, to.placed, legs)));
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

  async #walk(
    network: NetworkObject,
    from: PlacedEndpoint,
    to: PlacedEndpoint,
    legs: readonly Leg[],
  ): Promise<TraceHop[]> {
    const before = await Promise.all(legs.map((leg) => this.#evidence(network.ID, from, to, leg)));
    const [any] = before as [Evidence];
    const vteps = { from: vtepOf(from, any.from), to: vtepOf(to, any.to) };
    const ways = before.map((evidence) => wayOf(from, evidence));
    const size = mtuOf(any.from) || mtuOf(any.to) || SMALL_BYTES;
    const onWire = ways.includes('routed') ? size : size + TUNNEL_BYTES[familyOf(vteps.to)];
    const isRemote = from.nodeId !== to.nodeId;
    const marker = randomBytes(8).toString('hex');
    const watched = await this.#beginWatch(network.ID, [...new Set([from.nodeId, to.nodeId])], marker);
    const [echoes, there, back] = await Promise.all([
      Promise.all(legs.map((leg) => this.#echo(network.ID, from, leg.to, marker, size))),
      isRemote ? this.#underlay(from.nodeId, vteps.to, onWire) : undefined,
      isRemote ? this.#underlay(to.nodeId, vteps.from, onWire) : undefined,
    ]);
    const [sightings, after] = await Promise.all([
      this.#sightings(watched, marker),
      Promise.all(legs.map((leg) => this.#path(network.ID, from, leg.to))),
    ]);
    const end = ({
      nodeId,
      node,
      endpoint,
    }: PlacedEndpoint): Pick<TracedEnd, 'nodeId' | 'node' | 'endpoint' | 'sightings'> => ({
      nodeId,
      node,
      endpoint,
      sightings: sightings.get(nodeId),
    });
    const paths = legs.map((leg, index): TracedPath => {
      const [evidence = any, last = '', echo = ''] = [before[index], after[index], echoes[index]];
      return {
        from: {
          ...end(from),
          address: leg.from,
          vtep: vteps.from,
          evidence: withLast(evidence.from, last),
          underlay: there,
        },
        to: { ...end(to), address: leg.to, vtep: vteps.to, evidence: evidence.to, underlay: back },
        way: ways[index] ?? 'tunnel',
        vni: network.Allocated?.VNIs[0] ?? 0,
        echo: typeof echo === 'string' ? echo : { ...echo, size },
      };
    });
    return traceHops(paths);
  }

  async #evidence(networkId: string, from: PlacedEndpoint, to: PlacedEndpoint, leg: Leg): Promise<Evidence> {
    const [there, back] = await Promise.all([this.#path(networkId, from, leg.to), this.#path(networkId, to, leg.from)]);
    return { from: there, to: back };
  }

  #path(networkId: string, { nodeId, endpoint }: PlacedEndpoint, peer: string): Promise<PathEvidence | string> {
    const question = { kind: 'path', networkId, endpointId: endpoint.endpointId, peer } as const;
    return this.#ask(nodeId, question, pathEvidenceSchema, ASK_MS) as Promise<PathEvidence | string>;
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

function wayOf(from: PlacedEndpoint, evidence: Evidence): TracedPath['way'] {
  if ([evidence.from, evidence.to].some((each) => typeof each !== 'string' && each.rows.routed)) return 'routed';
  return vtepOf(from, evidence.from) === from.vtep ? 'tunnel' : 'encrypted';
}

/** What the probe left in the sandbox, such as an unanswered ARP entry, is seen only afterwards; rows may be repaired by then. */
function withLast(first: PathEvidence | string, last: PathEvidence | string): PathEvidence | string {
  if (typeof first === 'string' || typeof last === 'string' || last.sandbox === undefined) return first;
  return { ...first, sandbox: last.sandbox };
}

/** `lacking`: why there is nothing to be walked. */
function legsOf(
  from: PlacedEndpoint,
  to: PlacedEndpoint,
  families: readonly AddressFamily[],
): { legs: Leg[]; lacking?: TraceHop[] } {
  const legs: Leg[] = [];
  const lacking: TraceHop[] = [];
  for (const family of families) {
    const [fromAddress, toAddress] = [addressOf(from, family), addressOf(to, family)];
    if (fromAddress !== undefined && toAddress !== undefined) legs.push({ from: fromAddress, to: toAddress });
    for (const { nodeId: NodeID, node: Node, endpoint } of [from, to]) {
      if (addressOf({ endpoint }, family) !== undefined) continue;
      lacking.push({
        NodeID,
        Node,
        Hop: `IPv${family} address of ${endpoint.name || endpoint.endpointId.slice(0, 12)}`,
        OK: false,
        Seen: 'none',
        Expected: `one on the network`,
        Advice: 'containers have IPv6 addresses on networks that were created with --ipv6',
      });
    }
  }
  return lacking.length === 0 ? { legs } : { legs, lacking };
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

function shown({ Ref, Name, Address, Address6, NodeID, Node }: End): TraceEnd {
  return { Ref, Name, Address, ...(Address6 === undefined ? {} : { Address6 }), NodeID, Node };
}
