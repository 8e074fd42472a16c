import { crc32 } from 'node:zlib';
import type { Server } from '@grpc/grpc-js';
import type { waggle } from '../../proto/gen/raft.js';
import { MANAGERS, type RpcGate } from '../../proto/rpc/gate.ts';
import { raftService } from '../../proto/rpc/services.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { RaftId } from './core/entry.ts';
import type { Message } from './core/message.ts';
import type { RaftReceiver } from './transport.ts';
import { fromWire } from './wire.ts';

/** A state larger than this is none of ours. */
const MAX_SNAPSHOT_BYTES = 1024 * 1024 * 1024;
const HOST_PORT = /^\S{1,255}:\d{1,5}$/;

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
    if (HOST_PORT.test(address) && modules.nodeOf(from) === nodeId) modules.located?.(from, address);
  };
  raftService.add(server, {
    messages: gate.upload(MANAGERS, async (batches: AsyncIterable<waggle.raft.MessageBatch>, { nodeId }) => {
      for await (const batch of batches) {
        const messages = batch.messages.map(fromWire);
        const [first] = messages;
        if (first !== undefined) locate(batch.address, first, nodeId);
        // All of them before any: a batch is taken whole or not at all.
        const receivers = messages.map((message) => admit(message, nodeId));
        messages.forEach((message, at) => receivers[at]?.receive(message));
      }
      return {};
    }),
    installSnapshot: gate.upload(MANAGERS, async (parts: AsyncIterable<waggle.raft.SnapshotPart>, { nodeId }) => {
      const stream = parts[Symbol.asyncIterator]();
      const first = await stream.next();
      const wire = first.done === true ? undefined : first.value.message;
      const message = wire === null || wire === undefined ? undefined : fromWire(wire);
      if (message?.type !== 'snapshot') throw notWhole();
      await admit(message, nodeId).receiveSnapshot(message, chunksOf(stream));
      return {};
    }),
  });
}

/** @throws WaggleError invalid-argument at the end of a snapshot that is not whole or not what was sent. */
async function* chunksOf(stream: AsyncIterator<waggle.raft.SnapshotPart>): AsyncIterable<Uint8Array> {
  let bytes = 0;
  let checksum = 0;
  for (let next = await stream.next(); next.done !== true; next = await stream.next()) {
    const { chunk, last, checksum: sent } = next.value;
    bytes += chunk.length;
    if (bytes > MAX_SNAPSHOT_BYTES) throw new WaggleError('resource-exhausted', 'the snapshot is too large');
    checksum = crc32(chunk, checksum);
    if (chunk.length > 0) yield chunk;
    if (!last) continue;
    if (checksum === sent) return;
    throw new WaggleError('invalid-argument', 'the snapshot does not have the checksum that was sent with it');
  }
  throw notWhole();
}

function notWhole(): WaggleError {
  return new WaggleError('invalid-argument', 'the snapshot is not whole');
}
