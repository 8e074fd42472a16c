import type { Difference } from '../../proto/objects/diagnosis/difference.ts';
import type {
  NodeSurvey,
  SurveyedEndpoint,
  SurveyedNetwork,
  SurveyedRecord,
} from '../../proto/objects/diagnosis/survey.ts';
import type { NetworkObject } from '../../proto/objects/network.ts';
import { addressesOf, addressKey, type AddressHolder, bare, type DeclaredAddresses } from './declared-addresses.ts';

/** A difference with where it is; `nodeId` or `networkId` is empty when it is of no one node or network. */
export interface Found extends Difference {
  nodeId: string;
  networkId: string;
  /** It may come of looking while something was changing: it counts only when it is there a moment later, too. */
  transient: boolean;
}

/** Everything that one check compares. Nodes that could not be asked are not in `surveys`. */
export interface ComparisonFacts {
  networks: ReadonlyMap<string, NetworkObject>;
  /** Every node of the swarm, asked or not, by ID. */
  nodes: ReadonlyMap<string, { name: string }>;
  declared: DeclaredAddresses;
  surveys: ReadonlyMap<string, NodeSurvey>;
}

/** A node's records of an owner differ from the owner's own. */
export interface RecordMismatch {
  nodeId: string;
  networkId: string;
  owner: string;
}

const NOTHING = 'nothing';

/** Pure: what is declared against what the nodes have, and each node's kernel against what it wants. Gossip: `mismatchedRecords`. */
export function compareNetworks(facts: ComparisonFacts): Found[] {
  return [
    ...[...facts.surveys].flatMap(([nodeId, survey]) => compareNode(facts, nodeId, survey)),
    ...twoAnswers(facts),
    ...heldTwice(facts),
    ...declaredWithoutEndpoint(facts),
  ];
}

/** Pure: where the digests of an owner's records differ from its own, or are of an owner that is in the swarm no more. */
export function mismatchedRecords({ surveys, nodes }: ComparisonFacts): RecordMismatch[] {
  const own = new Map<string, string>();
  for (const [owner, survey] of surveys) {
    for (const { networkId, digests } of survey.networks) {
      own.set(`${networkId} ${owner}`, digests.find((each) => each.owner === owner)?.digest ?? '');
    }
  }
  const mismatches: RecordMismatch[] = [];
  for (const [nodeId, survey] of surveys) {
    for (const { networkId, digests } of survey.networks) {
      const here = new Map(digests.map(({ owner, digest }) => [owner, digest]));
      const gone = [...here.keys()].filter((owner) => !nodes.has(owner));
      const differing = [...surveys.keys()].filter(
        (owner) => (own.get(`${networkId} ${owner}`) ?? '') !== (here.get(owner) ?? ''),
      );
      mismatches.push(...[...gone, ...differing].map((owner) => ({ nodeId, networkId, owner })));
    }
  }
  return mismatches;
}

/** Pure: one owner's records as a node has them against the owner's own. */
export function compareRecords(
  mismatch: RecordMismatch,
  here: readonly SurveyedRecord[],
  own: readonly SurveyedRecord[],
  ownerName: string,
): Found[] {
  const wanted = new Map(own.map((record) => [record.endpointId, record]));
  const present = new Map(here.map((record) => [record.endpointId, record]));
  const at = { nodeId: mismatch.nodeId, networkId: mismatch.networkId };
  const found: Found[] = [];
  for (const record of own) {
    const other = present.get(record.endpointId);
    if (other === undefined) found.push(finding(at, 'record missing', record.address, recordWords(record), NOTHING));
    else if (JSON.stringify(other) !== JSON.stringify(record)) {
      found.push(finding(at, 'record altered', record.address, recordWords(record), recordWords(other, record)));
    }
  }
  for (const record of here) {
    if (wanted.has(record.endpointId)) continue;
    const words = `${recordWords(record)}, said to be on ${ownerName}`;
    found.push(finding(at, 'record stale', record.address, NOTHING, words));
  }
  return found;
}

function compareNode(facts: ComparisonFacts, nodeId: string, survey: NodeSurvey): Found[] {
  const host = survey.differences.map((each) => ({ ...each, nodeId, networkId: '', transient: true }));
  return [...host, ...survey.networks.flatMap((network) => compareNetwork(facts, nodeId, survey, network))];
}

function compareNetwork(facts: ComparisonFacts, nodeId: string, survey: NodeSurvey, network: SurveyedNetwork): Found[] {
  const { networkId } = network;
  const at = { nodeId, networkId };
  const kernel: Found[] = network.differences.map((each) => ({ ...each, ...at, transient: !network.settled }));
  if (network.more > 0) {
    const object = `${network.more} more differences`;
    kernel.push({ ...finding(at, 'more', object, NOTHING, 'not listed'), transient: !network.settled });
  }
  return [
    ...kernel,
    ...compareVersion(facts, nodeId, survey, network),
    ...compareOwnRecords(nodeId, survey, network),
    ...undeclaredEndpoints(facts, nodeId, survey, networkId),
  ];
}

function compareVersion(
  { networks }: ComparisonFacts,
  nodeId: string,
  survey: NodeSurvey,
  { networkId, version }: SurveyedNetwork,
): Found[] {
  const at = { nodeId, networkId };
  const declared = networks.get(networkId);
  const endpoints = survey.endpoints.filter((endpoint) => endpoint.networkId === networkId).length;
  if (declared === undefined) {
    if (endpoints === 0 && version === undefined) return [];
    return [finding(at, 'network removed', networkId, NOTHING, `${endpoints} endpoints of it`)];
  }
  if (version === undefined) {
    if (endpoints === 0) return [];
    return [finding(at, 'network not assigned', networkId, `version ${declared.Version.Index}`, NOTHING)];
  }
  if (version === declared.Version.Index) return [];
  return [finding(at, 'network outdated', networkId, `version ${declared.Version.Index}`, `version ${version}`)];
}

/** What a node says of its own endpoints must be so. */
function compareOwnRecords(nodeId: string, survey: NodeSurvey, { networkId, records }: SurveyedNetwork): Found[] {
  const at = { nodeId, networkId };
  const joined = survey.endpoints.filter((each) => each.networkId === networkId && each.state === 'joined');
  const published = new Map(records.map((record) => [record.endpointId, record]));
  const known = new Set(joined.map(({ endpointId }) => endpointId));
  const found: Found[] = [];
  for (const endpoint of joined) {
    const record = published.get(endpoint.endpointId);
    const words = `${short(endpoint.endpointId)} with ${endpoint.mac}${beside(endpoint)}`;
    if (record === undefined) found.push(finding(at, 'endpoint not published', endpoint.address, words, NOTHING));
    else if (!isSaidOf(record, endpoint)) {
      found.push(finding(at, 'endpoint published wrong', endpoint.address, words, recordWords(record)));
    }
  }
  for (const record of records) {
    if (known.has(record.endpointId)) continue;
    found.push(finding(at, 'address without endpoint', record.address, NOTHING, recordWords(record)));
  }
  return found;
}

function isSaidOf(record: SurveyedRecord, endpoint: SurveyedEndpoint): boolean {
  return record.address === endpoint.address && record.address6 === endpoint.address6 && record.mac === endpoint.mac;
}

function undeclaredEndpoints(
  { declared, networks }: ComparisonFacts,
  nodeId: string,
  survey: NodeSurvey,
  networkId: string,
): Found[] {
  if (!networks.has(networkId)) return [];
  return survey.endpoints
    .filter((endpoint) => endpoint.networkId === networkId && endpoint.state === 'joined')
    .flatMap((endpoint) => addressesOf(endpoint).map((address) => ({ ...endpoint, address })))
    .flatMap(({ address, endpointId, name }) => {
      const holders = declared.get(addressKey(networkId, address)) ?? [];
      if (holders.some((holder) => holder.nodeId === nodeId)) return [];
      const expected = holders.length === 0 ? 'held by nobody' : `held by ${holdersWords(holders)}`;
      const found = `container ${name || short(endpointId)}`;
      return [finding({ nodeId, networkId }, 'address not allocated', address, expected, found)];
    });
}

/** Two endpoints that say they have one address: some are sent to the one and some to the other. */
function twoAnswers({ surveys, nodes }: ComparisonFacts): Found[] {
  const answers = new Map<string, { networkId: string; address: string; words: string[] }>();
  for (const [nodeId, survey] of surveys) {
    for (const { networkId, records } of survey.networks) {
      for (const record of records) {
        const where = `${short(record.endpointId)} on ${nodes.get(nodeId)?.name ?? nodeId}`;
        for (const address of addressesOf(record)) {
          const key = addressKey(networkId, address);
          answers.set(key, { networkId, address, words: [...(answers.get(key)?.words ?? []), where] });
        }
      }
    }
  }
  return [...answers.values()]
    .filter(({ words }) => words.length > 1)
    .map(({ networkId, address, words }) =>
      finding({ nodeId: '', networkId }, 'two answers', address, 'one endpoint', words.toSorted().join(', ')),
    );
}

function heldTwice({ declared }: ComparisonFacts): Found[] {
  return [...declared]
    .filter(([, holders]) => holders.length > 1)
    .map(([key, holders]) => {
      const [networkId = '', address = ''] = key.split(' ');
      return finding({ nodeId: '', networkId }, 'address held twice', address, 'one holder', holdersWords(holders));
    });
}

/** Addresses that a node was given and does not use, and running tasks that are not on their network. */
function declaredWithoutEndpoint({ declared, surveys, networks }: ComparisonFacts): Found[] {
  const used = new Set<string>();
  for (const [nodeId, { endpoints, leases }] of surveys) {
    for (const endpoint of endpoints) {
      for (const address of addressesOf(endpoint)) {
        const key = addressKey(endpoint.networkId, address);
        if (endpoint.state === 'joined') used.add(`joined ${nodeId} ${key}`);
        used.add(`known ${nodeId} ${key}`);
      }
    }
    for (const { networkId, address } of leases) used.add(`known ${nodeId} ${addressKey(networkId, bare(address))}`);
  }
  return [...declared].flatMap(([key, holders]) =>
    holders.flatMap((holder) => {
      const [networkId = '', address = ''] = key.split(' ');
      const at = { nodeId: holder.nodeId, networkId };
      if (!surveys.has(holder.nodeId) || !networks.has(networkId)) return [];
      if (holder.lease && !used.has(`known ${holder.nodeId} ${key}`)) {
        return [finding(at, 'address leaked', address, 'a container', NOTHING)];
      }
      if (holder.running && !used.has(`joined ${holder.nodeId} ${key}`)) {
        return [finding(at, 'task without endpoint', address, holder.words, NOTHING)];
      }
      return [];
    }),
  );
}

function finding(
  at: { nodeId: string; networkId: string },
  kind: string,
  object: string,
  expected: string,
  found: string,
): Found {
  return { ...at, kind, object, expected, found, transient: true };
}

function recordWords(record: SurveyedRecord, other?: SurveyedRecord): string {
  const words = `${short(record.endpointId)} with ${record.mac}${beside(record)} at ${record.vtep}, VNI ${record.vni}`;
  return other !== undefined && other.rest !== record.rest ? `${words}, ${record.rest.slice(0, 120)}` : words;
}

function beside({ address6 }: { address6?: string }): string {
  return address6 === undefined ? '' : ` and ${address6}`;
}

function holdersWords(holders: readonly AddressHolder[]): string {
  return holders.map(({ words }) => words).join(', ');
}

function short(id: string): string {
  return id.slice(0, 12);
}
