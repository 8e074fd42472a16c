import type { waggle } from '../../proto/gen/dispatcher.js';
import type { ClusterFacts } from '../../proto/objects/cluster.ts';
import type { NodeObject } from '../../proto/objects/node.ts';

export interface SwarmPeer {
  nodeId: string;
  /** host:port. */
  address: string;
}

export interface SwarmKey {
  subsystem: string;
  /** The highest is the newest. */
  tag: number;
  /** base64, 16 bytes. */
  key: string;
}

/** A node that can encrypt (proto/dispatcher.proto TunnelPeer). */
export interface SwarmTunnelPeer {
  nodeId: string;
  publicKey: string;
  address: string;
  dataPathAddress: string;
}

/** What the manager last told this node of its swarm. Plain JSON: it is kept on disk for a start without a manager. */
export interface SwarmFacts {
  node: NodeObject;
  /** The first one leads. */
  managers: SwarmPeer[];
  /** All nodes that gossip, this one included. */
  gossipPeers: SwarmPeer[];
  keys: SwarmKey[];
  /** Absent in facts that an earlier version has kept. */
  tunnelPeers?: SwarmTunnelPeer[];
  /** VTEPs of all nodes, this one's included; absent or empty when the managers or the facts are of an earlier version. */
  dataPathAddresses?: string[];
  cluster: ClusterFacts;
}

/** @throws SyntaxError when a field is not JSON. */
export function readFacts(message: waggle.dispatcher.SessionMessage): SwarmFacts {
  return {
    node: parse<NodeObject>(message.nodeJson),
    managers: message.managers.map(readPeer),
    gossipPeers: message.gossipPeers.map(readPeer),
    keys: message.keys.map((key) => ({
      subsystem: key.subsystem ?? '',
      tag: key.tag ?? 0,
      key: Buffer.from(key.key ?? []).toString('base64'),
    })),
    tunnelPeers: message.tunnelPeers.map((peer) => ({
      nodeId: peer.nodeId ?? '',
      publicKey: peer.publicKey ?? '',
      address: peer.address ?? '',
      dataPathAddress: peer.dataPathAddress ?? '',
    })),
    dataPathAddresses: message.dataPathAddresses,
    cluster: parse<ClusterFacts>(message.clusterJson),
  };
}

function readPeer(peer: waggle.dispatcher.IPeer): SwarmPeer {
  return { nodeId: peer.nodeId ?? '', address: peer.address ?? '' };
}

function parse<T>(json: Uint8Array): T {
  return JSON.parse(Buffer.from(json).toString('utf8')) as T;
}
