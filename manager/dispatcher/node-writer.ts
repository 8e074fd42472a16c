import type { NodeDescription, NodeObject } from '../../proto/objects/node.ts';
import { compareTaskStates, isTerminal } from '../../proto/objects/task-state.ts';
import { tunnelAddress } from '../../proto/objects/tunnel.ts';
import { type Clock, rfc3339 } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { ReadTx, Store } from '../store/transaction.ts';

/** Changes per transaction (swarmkit MaxChangesPerTransaction). */
const BATCH = 200;

/** What an agent says of its node when it opens a session. */
export interface Registration {
  description: NodeDescription;
  advertiseAddress: string;
  dataPathAddress: string;
  gossipAddress: string;
  /** WireGuard public key; empty when the node cannot encrypt. */
  tunnelKey: string;
}

/** The dispatcher's writes to nodes, and to the tasks of nodes that are given up. */
export class NodeWriter {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(modules: { store: Store; clock: Clock }) {
    this.#store = modules.store;
    this.#clock = modules.clock;
  }

  /** @throws WaggleError not-found for a node that is not (or no more) of this swarm. */
  async ready(nodeId: string, registration: Registration): Promise<void> {
    await this.#store.update((tx) => {
      const node = tx.get('nodes', nodeId);
      if (node === undefined) throw new WaggleError('not-found', `node ${nodeId} not found`);
      tx.update('nodes', {
        ...node,
        Description: registration.description,
        Status: { State: 'ready', Addr: registration.advertiseAddress },
        DataPathAddr: registration.dataPathAddress,
        GossipAddr: registration.gossipAddress,
        ...tunnelOf(tx, node, registration.tunnelKey),
      });
    });
  }

  /** @param still asked within the transaction: a node that has registered meanwhile is left alone. */
  async down(nodeId: string, message: string, still: () => boolean): Promise<void> {
    await this.#store.update((tx) => {
      const node = tx.get('nodes', nodeId);
      if (node === undefined || node.Status.State === 'down' || !still()) return;
      tx.update('nodes', { ...node, Status: { ...node.Status, State: 'down', Message: message } });
    });
  }

  /** A new leader has heard of nobody yet. Nodes that are down stay so. */
  async unknown(nodeIds: readonly string[], still: (nodeId: string) => boolean): Promise<void> {
    for (let from = 0; from < nodeIds.length; from += BATCH) {
      await this.#store.update((tx) => {
        for (const nodeId of nodeIds.slice(from, from + BATCH)) {
          const node = tx.get('nodes', nodeId);
          if (node?.Status.State !== 'ready' || !still(nodeId)) continue;
          const message = 'Node moved to "unknown" state due to leadership change in cluster';
          tx.update('nodes', { ...node, Status: { ...node.Status, State: 'unknown', Message: message } });
        }
      });
    }
  }

  /** Gives up the tasks of a node that has been down for too long. */
  async orphanTasks(nodeId: string): Promise<void> {
    for (let left = true; left; ) {
      left = await this.#store.update(
        (tx) => {
          const live = tx
            .find('tasks', 'node', nodeId)
            .filter(({ Status }) => compareTaskStates(Status.State, 'assigned') >= 0 && !isTerminal(Status.State));
          for (const task of live.slice(0, BATCH)) {
            const Timestamp = rfc3339(this.#clock.now());
            tx.update('tasks', { ...task, Status: { ...task.Status, State: 'orphaned', Timestamp } });
          }
          return live.length > BATCH;
        },
        { actor: 'dispatcher' },
      );
    }
  }
}

/** A key that another node has is not taken: whoever claims it would take that node's traffic away. */
function tunnelOf(tx: ReadTx, node: NodeObject, key: string): Pick<NodeObject, 'Tunnel'> {
  if (key === '' && node.Tunnel === undefined) return {};
  if (node.Tunnel !== undefined && node.Tunnel.PublicKey === key) return { Tunnel: node.Tunnel };
  const others = [...tx.all('nodes')].flatMap(({ ID, Tunnel }) =>
    ID === node.ID || Tunnel === undefined ? [] : Tunnel,
  );
  const isTaken = others.some(({ PublicKey }) => PublicKey === key);
  const address = node.Tunnel?.Address ?? tunnelAddress(node.ID, new Set(others.map(({ Address }) => Address)));
  return { Tunnel: { Address: address, PublicKey: isTaken ? '' : key } };
}
