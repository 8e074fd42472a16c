import type { Server } from '@grpc/grpc-js';
import type { waggle } from '../../proto/gen/raft.js';
import { MANAGERS, type RpcGate } from '../../proto/rpc/gate.ts';
import { raftService } from '../../proto/rpc/services.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { RaftId } from './core/entry.ts';
import type { InstallSnapshot, Message } from './core/message.ts';
import type { RaftReceiver } from './transport.ts';
import { fromWire } from './wire.ts';

/** A state larger than this is none of ours. */
const MAX_SNAPSHOT_BYTES = 1024 * 1024 * 1024;

export interface RaftHandlersModules {
  receiver: () => RaftReceiver | undefined;
  /** Node that this Raft ID belongs to, as far as known here. */
  nodeOf: (id: RaftId) => string | undefined;
  /** A member says where it is reached (host:port); it may have moved. Only of members whose node is known. */
  located?: (id: RaftId, address: string) => void;
}

/** Adds the Raft service to the authenticated server: managers of this swarm only, each under its own Raft ID. */
export function addRaftService(server: Server, gate: RpcGate, modules: RaftHandlersModules): void {
  const admit = (message: Message, nodeId: string): RaftReceiver => {
    const receiver = modules.receiver();
    if (receiver === undefined) throw new WaggleError('unavailable', 'this manager does not take part in Raft yet');
    const owner = modules.nodeOf(message.from);
    if (owner !== undefined && owner !== nodeId) {
      throw new WaggleError('permission-denied', `raft member ${message.from} is not node ${nodeId}`);
    }
    if (message.to !== receiver.id) {
      throw new WaggleError('not-found', `raft member ${message.to} is not here any more, ${receiver.id} is`);
    }
    return receiver;
  };
  const locate = (address: string, { from }: Message, nodeId: string): void => {
    if (address !== '' && modules.nodeOf(from) === nodeId) modules.located?.(from, address);
  };
  raftService.add(server, {
    messages: gate.upload(MANAGERS, async (batches: AsyncIterable<waggle.raft.MessageBatch>, { nodeId }) => {
      for await (const batch of batches) {
        const messages = batch.messages.map(fromWire);
        const [first] = messages;
        if (first !== undefined) locate(batch.address, first, nodeId);
        for (const message of messages) admit(message, nodeId).receive(message);
      }
      return {};
    }),
    installSnapshot: gate.upload(MANAGERS, async (parts: AsyncIterable<waggle.raft.SnapshotPart>, { nodeId }) => {
      const { message, chunks } = await collect(parts);
      admit(message, nodeId).receiveSnapshot(message, chunks);
      return {};
    }),
  });
}

/** @throws WaggleError invalid-argument for a snapshot that is not whole. */
async function collect(
  parts: AsyncIterable<waggle.raft.SnapshotPart>,
): Promise<{ message: InstallSnapshot; chunks: Uint8Array[] }> {
  const chunks: Uint8Array[] = [];
  let message: Message | undefined;
  let bytes = 0;
  let whole = false;
  for await (const part of parts) {
    if (part.message !== null && part.message !== undefined) message = fromWire(part.message);
    if (part.chunk.length > 0) chunks.push(part.chunk);
    bytes += part.chunk.length;
    if (bytes > MAX_SNAPSHOT_BYTES) throw new WaggleError('resource-exhausted', 'the snapshot is too large');
    whole ||= part.last;
  }
  if (!whole || message?.type !== 'snapshot') throw new WaggleError('invalid-argument', 'the snapshot is not whole');
  return { message, chunks };
}
