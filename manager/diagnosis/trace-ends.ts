import ipaddr from 'ipaddr.js';
import type { TraceEnd } from '../../proto/objects/diagnosis/report.ts';
import type { SurveyedEndpoint } from '../../proto/objects/diagnosis/survey.ts';
import { taskName } from '../../proto/objects/naming.ts';
import type { NetworkObject } from '../../proto/objects/network.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { isTerminal } from '../../proto/objects/task-state.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { bare } from './declared-addresses.ts';

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
}

/**
 * Pure: who is meant. A reference is a container's name or the beginning of its ID, on any node; a task's ID, its beginning, or
 * `service.slot`; or, for the target, an address.
 * @param network given by the user: only there. @throws WaggleError not-found, invalid-argument (ambiguous).
 */
export function resolveEnds(
  facts: EndFacts,
  request: { from: string; to: string },
  network: NetworkObject | undefined,
): TraceEnds {
  const from = candidates(facts, request.from);
  const isAddress = ipaddr.IPv4.isIPv4(request.to);
  const to = isAddress ? atAddress(facts, request.to) : candidates(facts, request.to);
  const ids = from.map(networkOf).filter((id) => network === undefined || id === network.ID);
  const shared =
    ids.find((id) => to.some((each) => networkOf(each) === id)) ??
    (isAddress ? ids.find((id) => covers(facts.networks.get(id), request.to)) : undefined);
  const pick = (of: readonly PlacedEndpoint[]): PlacedEndpoint | undefined =>
    of.find((each) => networkOf(each) === shared) ?? (shared === undefined ? of[0] : undefined);
  return {
    network: shared === undefined ? undefined : facts.networks.get(shared),
    from: endOf(request.from, pick(from)),
    to: endOf(request.to, pick(to)),
  };
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
          NetworkID === endpoint.networkId && Addresses.some((address) => bare(address) === endpoint.address),
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
  const found = endpoints.filter(({ endpoint }) => endpoint.address === address);
  // One that is being taken down may still be there beside its heir.
  return found.toSorted((a, b) => Number(b.endpoint.state === 'joined') - Number(a.endpoint.state === 'joined'));
}

function networkOf({ endpoint }: PlacedEndpoint): string {
  return endpoint.networkId;
}

function covers(network: NetworkObject | undefined, address: string): boolean {
  return (network?.Allocated?.Subnets ?? []).some(({ Subnet }) => {
    if (!ipaddr.IPv4.isValidCIDR(Subnet)) return false;
    return ipaddr.IPv4.parse(address).match(ipaddr.IPv4.parseCIDR(Subnet));
  });
}

function endOf(ref: string, placed: PlacedEndpoint | undefined): End {
  if (placed === undefined) return { Ref: ref, Name: '', Address: ref, NodeID: '', Node: '' };
  const { nodeId, node, endpoint } = placed;
  return { Ref: ref, Name: endpoint.name, Address: endpoint.address, NodeID: nodeId, Node: node, placed };
}
