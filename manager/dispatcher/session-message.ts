import { waggle } from '../../proto/gen/dispatcher.js';
import type { ClusterFacts, ClusterObject } from '../../proto/objects/cluster.ts';
import { rootDigest } from '../../proto/objects/join-token.ts';
import type { NodeObject } from '../../proto/objects/node.ts';
import type { ReadTx } from '../store/transaction.ts';

const DEFAULT_HEARTBEAT_PERIOD_MS = 5000;
const NANOSECONDS_PER_MS = 1e6;

export type SessionMessage = waggle.dispatcher.SessionMessage;

/** The part of a session message that is the same for all nodes. */
export type SharedFacts = Pick<
  waggle.dispatcher.SessionMessage.$Shape,
  'managers' | 'gossipPeers' | 'tunnelPeers' | 'dataPathAddresses' | 'keys' | 'rootDigest' | 'clusterJson'
>;

/** Of the cluster spec; 0 and absent mean 5 s. */
export function heartbeatPeriodMs(cluster: ClusterObject | undefined): number {
  const period = cluster?.Spec.Dispatcher?.HeartbeatPeriod ?? 0;
  return period > 0 ? Math.max(1, Math.round(period / NANOSECONDS_PER_MS)) : DEFAULT_HEARTBEAT_PERIOD_MS;
}

/** Managers (the leader first), gossip peers, keys and facts, in an order that does not change by itself. */
export function sharedFacts(tx: ReadTx): SharedFacts {
  const nodes = [...tx.all('nodes')].toSorted((a, b) => (a.ID < b.ID ? -1 : 1));
  const [cluster] = tx.all('clusters');
  const managers = nodes
    .filter((node) => node.ManagerStatus !== undefined)
    .toSorted((a, b) => Number(b.ManagerStatus?.Leader === true) - Number(a.ManagerStatus?.Leader === true));
  const facts: ClusterFacts | undefined =
    cluster === undefined
      ? undefined
      : { ID: cluster.ID, DataPathPort: cluster.DataPathPort, HeartbeatPeriodMs: heartbeatPeriodMs(cluster) };
  return {
    managers: managers.map((node) => ({ nodeId: node.ID, address: node.ManagerStatus?.Addr ?? '' })),
    gossipPeers: nodes.flatMap((node) =>
      node.GossipAddr === undefined || node.GossipAddr === '' ? [] : [{ nodeId: node.ID, address: node.GossipAddr }],
    ),
    tunnelPeers: nodes.flatMap(({ ID, Tunnel, DataPathAddr = '' }) =>
      Tunnel === undefined || Tunnel.PublicKey === '' || DataPathAddr === ''
        ? []
        : [{ nodeId: ID, publicKey: Tunnel.PublicKey, address: Tunnel.Address, dataPathAddress: DataPathAddr }],
    ),
    dataPathAddresses: nodes.flatMap(({ DataPathAddr = '' }) => (DataPathAddr === '' ? [] : [DataPathAddr])),
    keys: (cluster?.Keys ?? []).map((key) => ({
      subsystem: key.Subsystem,
      tag: key.Tag,
      key: Buffer.from(key.Key, 'base64'),
    })),
    rootDigest: cluster === undefined ? '' : rootDigest(cluster.RootCA.Certificate),
    clusterJson: Buffer.from(facts === undefined ? '' : JSON.stringify(facts)),
  };
}

export function sessionMessage(sessionId: string, node: NodeObject, shared: SharedFacts): SessionMessage {
  return waggle.dispatcher.SessionMessage.create({
    ...shared,
    sessionId,
    nodeJson: Buffer.from(JSON.stringify(node)),
  });
}

/** From a manager that does not lead: no session, only the managers, the leader first. */
export function redirectMessage(shared: SharedFacts): SessionMessage {
  return waggle.dispatcher.SessionMessage.create({ sessionId: '', managers: shared.managers ?? [] });
}

/** Equal texts mean that there is nothing new to tell. */
export function fingerprint(message: SessionMessage): string {
  return Buffer.from(waggle.dispatcher.SessionMessage.encode(message).finish()).toString('base64');
}
