import type { ServerUnaryCall } from '@grpc/grpc-js';
import type { NodeRole } from '../objects/node.ts';

/** Who calls, as the verified certificate says: CN is the node, OU its role, O the swarm. */
export interface Caller {
  nodeId: string;
  role: NodeRole;
  clusterId: string;
}

type AuthContext = ReturnType<ServerUnaryCall<unknown, unknown>['getAuthContext']>;

const ROLE_OF_UNIT: ReadonlyMap<string, NodeRole> = new Map([
  ['swarm-manager', 'manager'],
  ['swarm-worker', 'worker'],
]);

/** The organizational unit in the certificate of a node with this role. */
export function roleUnit(role: NodeRole): string {
  return `swarm-${role}`;
}

export function roleOfUnit(unit: string): NodeRole | undefined {
  return ROLE_OF_UNIT.get(unit);
}

/** Undefined when there is no verified certificate, or not one of a node. */
export function callerOf(context: AuthContext): Caller | undefined {
  const subject: unknown = context.sslPeerCertificate?.subject;
  if (typeof subject !== 'object' || subject === null) return undefined;
  const { CN, OU, O } = subject as Record<string, unknown>;
  if (typeof CN !== 'string' || typeof OU !== 'string' || typeof O !== 'string') return undefined;
  const role = roleOfUnit(OU);
  return role === undefined ? undefined : { nodeId: CN, role, clusterId: O };
}
