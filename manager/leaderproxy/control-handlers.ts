import type { Server } from '@grpc/grpc-js';
import { MANAGERS, type RpcGate } from '../../proto/rpc/gate.ts';
import { controlService } from '../../proto/rpc/services.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { ControlApi } from '../controlapi/control-api.ts';
import { isControlOperation } from './control-operations.ts';

/**
 * Adds Control.Invoke to the authenticated server, for managers only: one operation of ControlApi with its arguments in
 * JSON. @param control this manager's own ControlApi while it leads, else undefined.
 */
export function addControlService(server: Server, gate: RpcGate, control: () => ControlApi | undefined): void {
  controlService.add(server, {
    invoke: gate.unary(MANAGERS, async ({ operation, argumentsJson }) => {
      const api = control();
      if (api === undefined) throw new WaggleError('unavailable', 'this manager does not lead the swarm');
      if (!isControlOperation(operation)) throw new WaggleError('unimplemented', `unknown operation ${operation}`);
      const call = api[operation] as (args: unknown) => Promise<unknown>;
      const result = await call.call(api, parseArguments(argumentsJson));
      return { resultJson: Buffer.from(JSON.stringify(result)) };
    }),
  });
}

function parseArguments(json: Uint8Array): object {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(json).toString('utf8'));
  } catch (error) {
    throw new WaggleError('invalid-argument', 'arguments are not JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null) throw new WaggleError('invalid-argument', 'arguments are no object');
  return value;
}
