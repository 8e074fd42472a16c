import type { Server } from '@grpc/grpc-js';
import type { NodeDescription } from '../../proto/objects/node.ts';
import type { TaskStatus } from '../../proto/objects/task.ts';
import { isTunnelKey } from '../../proto/objects/tunnel.ts';
import { ALL_NODES, type RpcGate } from '../../proto/rpc/gate.ts';
import { dispatcherService, resourceAllocatorService } from '../../proto/rpc/services.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { AttachmentAllocator } from './attachment-allocator.ts';
import type { Dispatcher } from './dispatcher.ts';

const MAX_ADDRESS_LENGTH = 300;

/** Adds the agents' services to the authenticated server. */
export function addDispatcherServices(
  server: Server,
  gate: RpcGate,
  modules: { dispatcher: Dispatcher; allocator: AttachmentAllocator },
): void {
  const { dispatcher, allocator } = modules;
  dispatcherService.add(server, {
    session: gate.stream(ALL_NODES, (request, caller, stream) => {
      const registration = {
        description: parse<NodeDescription>(request.descriptionJson, 'Hostname'),
        advertiseAddress: address(request.advertiseAddress),
        dataPathAddress: address(request.dataPathAddress),
        gossipAddress: address(request.gossipAddress),
        tunnelKey: tunnelKey(request.tunnelKey),
      };
      return dispatcher.session(registration, caller, stream);
    }),
    heartbeat: gate.unary(ALL_NODES, (request, caller) => ({
      periodMs: dispatcher.heartbeat(request.sessionId, caller),
    })),
    updateTaskStatus: gate.unary(ALL_NODES, async (request, caller) => {
      const updates = request.updates.map((update) => ({
        taskId: update.taskId ?? '',
        status: parse<TaskStatus>(update.statusJson ?? new Uint8Array(), 'State', 'Timestamp'),
      }));
      await dispatcher.updateTaskStatus(request.sessionId, updates, caller);
      return {};
    }),
    assignments: gate.stream(ALL_NODES, (request, caller, stream) =>
      dispatcher.assignments(request.sessionId, caller, stream),
    ),
  });
  resourceAllocatorService.add(server, {
    allocateAddress: gate.unary(ALL_NODES, async ({ networkId, address: wanted, reference, ipv6 }, { nodeId }) => ({
      address: await allocator.allocate(
        nodeId,
        networkId,
        wanted === '' ? undefined : wanted,
        reference,
        ipv6 === true,
      ),
    })),
    releaseAddress: gate.unary(ALL_NODES, async (request, { nodeId }) => {
      await allocator.release(nodeId, request.networkId, request.address);
      return {};
    }),
    reportAddresses: gate.unary(ALL_NODES, async (request, { nodeId }) => {
      const held = request.held.map((one) => ({ networkId: one.networkId ?? '', address: one.address ?? '' }));
      const unused = await allocator.report(nodeId, held, request.givenUp);
      return { unused: unused.map(({ ID: id, Reference: reference }) => ({ id, reference })) };
    }),
  });
}

/** @param keys that must be there as texts. @throws WaggleError invalid-argument. */
function parse<T>(json: Uint8Array, ...keys: string[]): T {
  try {
    const value: unknown = JSON.parse(Buffer.from(json).toString('utf8'));
    if (typeof value === 'object' && value !== null) {
      const fields = value as Record<string, unknown>;
      if (keys.every((key) => typeof fields[key] === 'string')) return value as T;
    }
  } catch (error) {
    throw new WaggleError('invalid-argument', 'not JSON', { cause: error });
  }
  throw new WaggleError('invalid-argument', `an object with ${keys.join(' and ')} was expected`);
}

function tunnelKey(text: string): string {
  if (text === '' || isTunnelKey(text)) return text;
  throw new WaggleError('invalid-argument', 'not a tunnel key');
}

function address(text: string): string {
  if (text.length <= MAX_ADDRESS_LENGTH && !/\s/.test(text)) return text;
  throw new WaggleError('invalid-argument', 'not an address');
}
