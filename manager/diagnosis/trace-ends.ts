import ipaddr from 'ipaddr.js';
import { type AddressFamily, familyOf } from '../../proto/objects/diagnosis/path.ts';
import type { TraceEnd, TraceRequest } from '../../proto/objects/diagnosis/report.ts';
import type { SurveyedEndpoint } from '../../proto/objects/diagnosis/survey.ts';
import { taskName } from '../../proto/objects/naming.ts';
import type { NetworkObject } from '../../proto/objects/network.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { isTerminal } from '../../proto/objects/task-state.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { addressesOf, bare } from './declared-addresses.ts';

/** A node's endpoint, of any network. */
export interface PlacedEndpoint {
  nodeId: string;
  node: string;
  vtep: string;
  endpoint: SurveyedEndpoint;
}

/** One end of a trace. Without `placed` the address is known and nobody is there. */
export interface End extends TraceEnd {
  placed?: PlacedEndpoint;
}

export interface EndFacts {
  endpoints: readonly PlacedEndpoint[];
  tasks: readonly TaskObject[];
  networks: ReadonlyMap<string, NetworkObject>;
  /** Nodes that did not tell their endpoints, and why not. */
  silent: readonly { nodeId: string; node: string; error: string }[];
}

export interface TraceEnds {
  /** Undefined when the two have none in common. */
  network: NetworkObject | undefined;
  from: End;
  to: End;
  /** What is to be traced: what was asked for, or all that the two have addresses of. */
  families: readonly AddressFamily[];
}

/**
 * Pure: who is meant. A reference is a container's name or the beginning of its ID, on any node; a task's ID, its beginning, or
 * `service.slot`; or, for the target, an address.
 * @param network given by the user: only there. @throws WaggleError not-found, invalid-argument (ambiguous).
 */
export function resolveEnds(facts: EndFacts, request: TraceRequest, network: NetworkObject | undefined): TraceEnds {
  const from = candidates(facts, request.from);
  const address = addressIn(request.to);
  const to = address === undefined ? candidates(facts, request.to) : atAddress(facts, address);
  const ids = from.map(networkOf).filter((id) => network === undefined || id === network.ID);
  const shared =
    ids.find((id) => to.some((each) => networkOf(each) === id)) ??
    (address === undefined ? undefined : ids.find((id) => covers(facts.networks.get(id), address)));
  const pick = (of: readonly PlacedEndpoint[]): PlacedEndpoint | undefined =>
    of.find((each) => networkOf(each) === shared) ?? (shared === undefined ? of[0] : undefined);
  const ends = [pick(from), pick(to)] as const;
  const families = familiesOf(request, address, ends);
  return {
    network: shared === undefined ? undefined : facts.networks.get(shared),
    from: endOf(request.from, ends[0], families),
    to: endOf(address ?? request.to, ends[1], families),
    families,
  };
}

/** As the nodes write it; undefined for what is none. */
function addressIn(text: string): string | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return text;
  return ipaddr.IPv6.isValid(text) ? ipaddr.IPv6.parse(text).toRFC5952String() : undefined;
}

/** @throws WaggleError invalid-argument when address and family contradict each other. */
function familiesOf(
  { family }: TraceRequest,
  address: string | undefined,
  ends: readonly (PlacedEndpoint | undefined)[],
): readonly AddressFamily[] {
  if (address !== undefined && family !== undefined && familyOf(address) !== family) {
    throw new WaggleError('invalid-argument', `${address} is not an IPv${family} address`);
  }
  if (family !== undefined) return [family];
  if (address !== undefined) return [familyOf(address)];
  return ends.every((end) => end?.endpoint.address6 !== undefined) ? [4, 6] : [4];
}

/** The address of the endpoint in a family. */
export function addressOf({ endpoint }: Pick<PlacedEndpoint, 'endpoint'>, family: AddressFamily): string | undefined {
  return family === 4 ? endpoint.address : endpoint.address6;
}

/** Every endpoint, on whatever network, of the one container that is meant. */
function candidates(facts: EndFacts, ref: string): PlacedEndpoint[] {
  const all = facts.endpoints;
  const named = all.filter(({ endpoint }) => endpoint.name === ref && ref !== '');
  if (named.length > 0) return ofOneContainer(named, ref);
  const tasks = tasksOf(facts.tasks, ref);
  if (tasks.length > 1)
    throw new WaggleError('invalid-argument', `task ${ref} is ambiguous (${tasks.length} matches found)`);
  const [task] = tasks;
  if (task !== undefined) return ofTask(facts, task, ref);
  const prefixed = all.filter(({ endpoint }) => ref !== '' && endpoint.containerId.startsWith(ref));
  if (prefixed.length > 0) return ofOneContainer(prefixed, ref);
  const names = facts.silent.map(({ node }) => node).join(', ');
  const silent = names === '' ? '' : ` (nodes that did not answer: ${names})`;
  throw new WaggleError('not-found', `No such container or task on any overlay network: ${ref}${silent}`);
}

function ofOneContainer(found: readonly PlacedEndpoint[], ref: string): PlacedEndpoint[] {
  const containers = new Map(found.map((each) => [each.endpoint.containerId, each.node]));
  if (containers.size === 1) return [...found];
  const where = [...containers].map(([id, node]) => `${id.slice(0, 12)} on ${node}`).join(', ');
  throw new WaggleError('invalid-argument', `container ${ref} is ambiguous: ${where}. Give an ID`);
}

/** The task with this ID; else the live one of `service.slot`; else those whose ID begins so. */
function tasksOf(tasks: readonly TaskObject[], ref: string): TaskObject[] {
  const exact = tasks.filter((task) => task.ID === ref || taskName(task) === ref);
  if (exact.length > 0) return exact;
  const live = tasks.filter(({ DesiredState, Status }) => !isTerminal(DesiredState) && !isTerminal(Status.State));
  const slot = live.filter((task) => taskName(task).slice(0, -task.ID.length - 1) === ref);
  if (slot.length > 0) return slot.toSorted((a, b) => b.CreatedAt.localeCompare(a.CreatedAt)).slice(0, 1);
  return ref.length < 4 ? [] : tasks.filter((task) => task.ID.startsWith(ref));
}

function ofTask(facts: EndFacts, task: TaskObject, ref: string): PlacedEndpoint[] {
  const attachments = task.NetworksAttachments ?? [];
  const found = facts.endpoints.filter(
    ({ nodeId, endpoint }) =>
      nodeId === task.NodeID &&
      attachments.some(
        ({ NetworkID, Addresses }) =>
          NetworkID === endpoint.networkId && Addresses.some((each) => addressesOf(endpoint).includes(bare(each))),
      ),
  );
  if (found.length > 0) return found;
  if (attachments.length === 0) throw new WaggleError('not-found', `task ${ref} is on no overlay network`);
  const silent = facts.silent.find(({ nodeId }) => nodeId === task.NodeID);
  if (silent !== undefined) {
    throw new WaggleError(
      'unavailable',
      `task ${ref} is on node ${silent.node}, which does not answer: ${silent.error}`,
    );
  }
  const error = task.Status.Err ?? '';
  const state = `${task.Status.State}${error === '' ? '' : `: ${error}`}`;
  throw new WaggleError('not-found', `task ${ref} has no endpoint on any node, its state is ${state}`);
}

function atAddress({ endpoints }: EndFacts, address: string): PlacedEndpoint[] {
  const found = endpoints.filter(({ endpoint }) => addressesOf(endpoint).includes(address));
  // One that is being taken down may still be there beside its heir.
  return found.toSorted((a, b) => Number(b.endpoint.state === 'joined') - Number(a.endpoint.state === 'joined'));
}

function networkOf({ endpoint }: PlacedEndpoint): string {
  return endpoint.networkId;
}

function covers(network: NetworkObject | undefined, address: string): boolean {
  return (network?.Allocated?.Subnets ?? []).some(({ Subnet }) => {
    if (familyOf(Subnet) !== familyOf(address) || !ipaddr.isValidCIDR(Subnet)) return false;
    return ipaddr.parse(address).match(ipaddr.parseCIDR(Subnet));
  });
}

function endOf(ref: string, placed: PlacedEndpoint | undefined, families: readonly AddressFamily[]): End {
  if (placed === undefined) return { Ref: ref, Name: '', Address: ref, NodeID: '', Node: '' };
  const { nodeId, node, endpoint } = placed;
  const [address = endpoint.address, address6] = families.flatMap((family) => addressOf(placed, family) ?? []);
  const addresses = address6 === undefined ? { Address: address } : { Address: address, Address6: address6 };
  return { Ref: ref, Name: endpoint.name, ...addresses, NodeID: nodeId, Node: node, placed };
}
