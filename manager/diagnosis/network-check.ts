import type { NetworkCheck as Report, NetworkFinding } from '../../proto/objects/diagnosis/report.ts';
import { type NodeSurvey, recordsAnswerSchema, surveySchema } from '../../proto/objects/diagnosis/survey.ts';
import type { NetworkObject } from '../../proto/objects/network.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Store } from '../store/transaction.ts';
import { type DeclaredAddresses, declaredAddresses } from './declared-addresses.ts';
import type { Inquiry } from './inquiry.ts';
import {
  compareNetworks,
  compareRecords,
  type ComparisonFacts,
  type Found,
  mismatchedRecords,
  type RecordMismatch,
} from './network-comparison.ts';
import { leakedHoldings, wrongPorts } from './leaked-holdings.ts';
import { inParallel } from './parallel.ts';

/** Two rounds of two questions and the pause must be over before a manager that asks for a user gives up (20 s). */
const ASK_MS = 4_000;
const CONFIRM_MS = 2_000;

export interface NetworkCheckModules {
  store: Store;
  inquiry: Pick<Inquiry, 'ask'>;
  /** Addresses that the allocator has given, live; empty when it does not run. */
  holdings: () => readonly { holder: string; networkId: string; address: string }[];
  /** Published ports likewise. */
  ports: () => readonly { serviceId: string; port: string }[];
  clock: Clock;
}

interface Round {
  facts: ComparisonFacts;
  found: Found[];
  silent: Map<string, string>;
}

/**
 * Compares what is declared, gossiped and in the kernels of all nodes. What may be of the moment is looked for again 2 s later, and
 * only told when it is still so; a node that does not answer within 4 s is a finding of its own.
 */
export class NetworkCheck {
  readonly #modules: NetworkCheckModules;

  constructor(modules: NetworkCheckModules) {
    this.#modules = modules;
  }

  /** @param networkId only this one, and nothing of the hosts; every one when absent. */
  async run(networkId: string | undefined): Promise<Report> {
    const first = await this.#round(networkId, new Map());
    const certain = first.found.filter(({ transient }) => !transient);
    let found = certain;
    let { facts } = first;
    if (certain.length < first.found.length) {
      await sleep(this.#modules.clock, CONFIRM_MS);
      const second = await this.#round(networkId, first.silent);
      const again = new Set(second.found.map(keyOf));
      found = first.found.filter((each) => !each.transient || again.has(keyOf(each)));
      for (const each of second.found)
        if (!each.transient && !found.some((f) => keyOf(f) === keyOf(each))) found.push(each);
      // What has been repaired in between is no finding any more, but must be among the repairs.
      facts = { ...facts, surveys: new Map([...facts.surveys, ...second.facts.surveys]) };
    }
    return report(facts, found);
  }

  async #round(networkId: string | undefined, silent: ReadonlyMap<string, string>): Promise<Round> {
    const { networks, nodes, declared, leaked } = this.#declared(networkId);
    const answers = await inParallel([...nodes.keys()], async (nodeId) => {
      const known = silent.get(nodeId);
      return { nodeId, survey: known ?? (await this.#survey(nodeId, [...networks.keys()], networkId === undefined)) };
    });
    const surveys = new Map<string, NodeSurvey>();
    const failures = new Map<string, string>();
    for (const { nodeId, survey } of answers) {
      if (typeof survey === 'string') failures.set(nodeId, survey);
      else surveys.set(nodeId, survey);
    }
    const facts = { networks, nodes, declared, surveys };
    const records = await this.#compareRecords(facts, mismatchedRecords(facts));
    const unasked = [...failures].map(([nodeId, error]) => notAsked(nodeId, nodes.get(nodeId)?.name ?? nodeId, error));
    return { facts, found: [...unasked, ...leaked, ...compareNetworks(facts), ...records], silent: failures };
  }

  #declared(networkId: string | undefined): {
    networks: Map<string, NetworkObject>;
    nodes: Map<string, { name: string }>;
    declared: DeclaredAddresses;
    leaked: Found[];
  } {
    return this.#modules.store.view((tx) => {
      const chosen = [...tx.all('networks')].filter(({ ID }) => networkId === undefined || ID === networkId);
      const declared = declaredAddresses([...tx.all('tasks')], [...tx.all('attachments')]);
      const isChosen = (id: string): boolean => networkId === undefined || id === networkId;
      return {
        networks: new Map(chosen.map((network) => [network.ID, network])),
        nodes: new Map([...tx.all('nodes')].map((node) => [node.ID, { name: node.Description?.Hostname ?? node.ID }])),
        declared: new Map([...declared].filter(([key]) => isChosen(key.split(' ')[0] ?? ''))),
        leaked: [
          ...leakedHoldings(tx, this.#modules.holdings()).filter((each) => isChosen(each.networkId)),
          ...(networkId === undefined ? wrongPorts(tx, this.#modules.ports()) : []),
        ],
      };
    });
  }

  /** @returns why there is none, when there is none. */
  async #survey(nodeId: string, networks: string[], all: boolean): Promise<NodeSurvey | string> {
    try {
      const answer = await this.#modules.inquiry.ask(nodeId, { kind: 'survey', nodeId, networks, all }, ASK_MS);
      return surveySchema.parse(answer) as NodeSurvey;
    } catch (error) {
      return messageOf(error).slice(0, 300);
    }
  }

  /** Asks the nodes for the records in question, and compares them with their owners' own. */
  async #compareRecords(facts: ComparisonFacts, mismatches: readonly RecordMismatch[]): Promise<Found[]> {
    const byNode = Map.groupBy(mismatches, ({ nodeId }) => nodeId);
    const found = await inParallel([...byNode], async ([nodeId, asked]) => {
      const of = asked.map(({ networkId, owner }) => ({ networkId, owner }));
      try {
        const answer = await this.#modules.inquiry.ask(nodeId, { kind: 'records', of }, ASK_MS);
        const { records } = recordsAnswerSchema.parse(answer);
        return asked.flatMap((mismatch, index) => {
          const own = facts.surveys.get(mismatch.owner)?.networks.find((each) => each.networkId === mismatch.networkId);
          const name = facts.nodes.get(mismatch.owner)?.name ?? `${mismatch.owner}, which is not in the swarm`;
          return compareRecords(mismatch, records[index] ?? [], own?.records ?? [], name);
        });
      } catch (error) {
        return [notAsked(nodeId, facts.nodes.get(nodeId)?.name ?? nodeId, messageOf(error).slice(0, 300))];
      }
    });
    return found.flat();
  }
}

function notAsked(nodeId: string, name: string, error: string): Found {
  const difference = { kind: 'node not asked', object: name, expected: 'an answer', found: error };
  return { ...difference, nodeId, networkId: '', transient: false };
}

function keyOf({ nodeId, networkId, kind, object }: Found): string {
  return JSON.stringify([nodeId, networkId, kind, object]);
}

function report({ nodes, networks, surveys }: ComparisonFacts, found: readonly Found[]): Report {
  const findings = found.map(({ nodeId, networkId, kind, object, expected, found: seen }): NetworkFinding => {
    const Node = nodes.get(nodeId)?.name ?? nodeId;
    const Network = networks.get(networkId)?.Spec.Name ?? networkId;
    return { kind, object, expected, found: seen, NodeID: nodeId, Node, NetworkID: networkId, Network };
  });
  const order = (each: NetworkFinding): string => `${each.Network}\0${each.Node}\0${each.kind}\0${each.object}`;
  return {
    Findings: findings.toSorted((a, b) => (order(a) < order(b) ? -1 : 1)),
    Networks: networks.size,
    Nodes: surveys.size,
    Endpoints: [...surveys.values()].reduce((sum, { endpoints }) => sum + endpoints.length, 0),
    Repairs: Object.fromEntries([...surveys].map(([id, survey]) => [nodes.get(id)?.name ?? id, repairsOf(survey)])),
  };
}

function repairsOf(survey: NodeSurvey): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { repairs } of [survey, ...survey.networks]) {
    for (const [kind, count] of Object.entries(repairs)) sums[kind] = (sums[kind] ?? 0) + count;
  }
  return sums;
}
